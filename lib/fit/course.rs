//! The legs of the way from the smallest level to the whole maps, which are made ready before they are needed.
//!
//! Recording a likelihood, planning it and bringing large maps into the order of a transform takes as long as
//! some evaluations, and depends on nothing that the exploration finds, if the noise is known.

use super::level::Level;
use super::options::FitOptions;
use super::predictions::SAMPLES_KEPT;
use super::problem::Problem;
use super::stage::Objective;
use crate::autodiff::Function;
use crate::device::Backend;
use crate::error::Result;
use crate::optics::beam_map::MapSet;
use crate::optics::model::Model;
use rayon::prelude::*;
use std::sync::Arc;

/// A level, or the whole maps.
pub struct Leg<'a> {
    pub problem: Problem<'a>,
    /// The likelihood of the free parameters, where it is ready, with the scales that it was recorded with.
    function: Option<(Vec<f64>, Function)>,
}

impl<'a> Leg<'a> {
    /// The same parameters as those of `first`, with other samples, whose `model` is there already.
    pub fn of(
        first: &Problem<'a>,
        maps: &'a MapSet,
        options: &'a FitOptions,
        model: Arc<Model>,
    ) -> Self {
        let problem = first.resampled_with(maps, options, model);
        // Not where its scales are not known yet, nor where the device is not this machine.
        let known = !problem.adapts() && options.backend == Backend::Cpu;
        let function = known.then(|| {
            let which = problem.free_places();
            let mut function = problem.function(&which, &problem.start);
            function.prepare();
            (problem.likelihood.scales.clone(), function)
        });
        Leg { problem, function }
    }

    /// What is to be minimised, with the problem's likelihood as it is now.
    pub fn objective(&mut self) -> Objective<'_> {
        let which = self.problem.free_places();
        let same = |(scales, _): &(Vec<f64>, Function)| *scales == self.problem.likelihood.scales;
        match self.function.take().filter(same) {
            Some((_, function)) => Objective::with(&self.problem, which, function),
            None => Objective::new(&self.problem, &self.problem.likelihood, which),
        }
    }

    /// Keeps the `function` of an objective for the next, where it does not take much memory.
    pub fn keep(&mut self, function: Function) {
        if self.problem.maps.samples() <= SAMPLES_KEPT {
            self.function = Some((self.problem.likelihood.scales.clone(), function));
        }
    }
}

/// The leg of the first of the levels, whose problem is `first`; none where there are no levels.
pub fn first_leg<'a>(first: &Problem<'a>, levels: &'a [Level]) -> Option<Leg<'a>> {
    let Level { maps, options, .. } = levels.first()?;
    Some(Leg::of(first, maps, options, first.model.clone()))
}

/// The legs of all levels but the first, whose problem is `first`.
///
/// # Errors
/// Maps that the model cannot describe.
pub fn other_legs<'a>(first: &Problem<'a>, levels: &'a [Level]) -> Result<Vec<Leg<'a>>> {
    let leg = |level: &'a Level| {
        let model = level.setup(first.setup()).model()?;
        Ok(Leg::of(first, &level.maps, &level.options, model))
    };
    levels.get(1..).unwrap_or_default().par_iter().map(leg).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::level::levels;
    use crate::fit::setup::Setup;
    use crate::fit::tests::simulated;
    use crate::optics::beam_map::Sigma;

    #[test]
    fn legs_lead_to_the_whole_maps_and_are_ready_where_the_noise_is_known() {
        let (telescope, mut maps, _) = simulated(128);
        let options = FitOptions { order: 3, ..FitOptions::default() };
        for known in [true, false] {
            if !known {
                maps.maps.iter_mut().for_each(|map| map.sigma = Sigma::Unknown);
            }
            let setup = Setup::new(&telescope, &maps, &options);
            let levels = levels(setup);
            assert!(levels.len() > 1);
            let first = Problem::new(levels[0].setup(setup)).unwrap();
            let start = first.start.clone();
            let mut legs: Vec<Leg> = first_leg(&first, &levels).into_iter().collect();
            legs.extend(other_legs(&first, &levels).unwrap());
            assert_eq!(legs.len(), levels.len());
            let model = setup.model().unwrap();
            legs.push(Leg::of(&first, &maps, &options, model));
            let samples: Vec<usize> = legs.iter().map(|leg| leg.problem.maps.samples()).collect();
            assert!(samples.is_sorted() && samples[legs.len() - 1] == maps.samples());
            for leg in &mut legs {
                assert_eq!(leg.function.is_some(), known);
                // What was made ahead is what would be made now.
                let which = leg.problem.free_up_to(3);
                let x = vec![0.01; which.len()];
                let value = leg.problem.function(&which, &start).value_and_gradient(&x);
                if let Some((_, function)) = &mut leg.function {
                    assert_eq!(function.value_and_gradient(&x), value);
                }
                // What was kept serves again, but not with other scales.
                for times in [1.0, 2.0, 2.0] {
                    leg.problem.likelihood.scales.iter_mut().for_each(|scale| *scale *= times);
                    let value = leg.problem.function(&which, &start).value_and_gradient(&x);
                    let mut function = leg.objective().function;
                    assert_eq!(function.value_and_gradient(&x), value);
                    leg.keep(function);
                    assert!(leg.function.is_some());
                }
            }
        }
    }
}
