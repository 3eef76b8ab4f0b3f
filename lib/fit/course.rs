//! The way from the smallest level to the whole maps, made ready while the smallest is explored.
//!
//! Recording a likelihood, planning it and bringing large maps into the order of a transform takes as long as
//! some evaluations, and depends on nothing that the exploration finds, if the noise is known.

use super::information;
use super::level::Level;
use super::options::FitOptions;
use super::problem::Problem;
use super::stage::Objective;
use crate::autodiff::Function;
use crate::device::Backend;
use crate::error::Result;
use crate::optics::beam_map::MapSet;

/// A level, or the whole maps.
pub struct Leg<'a> {
    pub problem: Problem<'a>,
    /// The likelihood of the free parameters, where it is ready.
    function: Option<Function>,
}

impl<'a> Leg<'a> {
    /// The same parameters as those of `first`, with other samples.
    fn of(first: &Problem<'a>, maps: &'a MapSet, options: &'a FitOptions) -> Result<Self> {
        let problem = first.with_maps(maps, options)?;
        let function = ready(&problem);
        Ok(Leg { problem, function })
    }

    /// What is to be minimised, with the problem's likelihood as it is now.
    pub fn objective(&mut self) -> Objective<'_> {
        let which = self.problem.free_up_to(self.problem.options.order);
        match self.function.take() {
            Some(function) => Objective::with(&self.problem, which, function),
            None => Objective::new(&self.problem, &self.problem.likelihood, which),
        }
    }
}

/// The likelihood of a problem's free parameters, planned and loaded; `None` where its scales are not known yet,
/// and where the device is not this machine.
fn ready(problem: &Problem) -> Option<Function> {
    let known = !problem.adapts() && problem.options.backend == Backend::Cpu;
    let which = problem.free_up_to(problem.options.order);
    known.then(|| {
        let mut function = problem.function(&which, &problem.start);
        function.prepare();
        function
    })
}

/// Does `work`, which is about the problem `first`, and makes its leg and those of the other `levels` and the
/// whole `maps` ready meanwhile, by threads that have nothing else to do.
///
/// # Errors
/// Those of `work`, and maps that the model cannot describe.
pub fn meanwhile<'a, R: Send>(
    first: Problem<'a>,
    levels: &'a [Level],
    maps: &'a MapSet,
    options: &'a FitOptions,
    work: impl FnOnce(&Problem<'a>) -> Result<R> + Send,
) -> Result<(R, Vec<Leg<'a>>)> {
    let whole = || (!levels.is_empty()).then(|| Leg::of(&first, maps, options)).transpose();
    let smaller = || {
        if !levels.is_empty() && options.backend == Backend::Cpu {
            information::prepare(&first);
        }
        let function = ready(&first);
        let legs = levels.iter().skip(1).map(|level| Leg::of(&first, &level.maps, &level.options));
        Ok((function, legs.collect::<Result<Vec<_>>>()?))
    };
    let ((done, smaller), whole) = rayon::join(|| rayon::join(|| work(&first), smaller), whole);
    let (done, whole): (R, Option<Leg>) = (done?, whole?);
    let (function, mut legs): (Option<Function>, Vec<Leg>) = smaller?;
    legs.insert(0, Leg { problem: first, function });
    legs.extend(whole);
    Ok((done, legs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::level::levels;
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
            let levels = levels(&telescope, telescope.wavelength, &maps, &options);
            assert!(levels.len() > 1);
            let (maps_of_first, options_of_first) = (&levels[0].maps, &levels[0].options);
            let wavelength = telescope.wavelength;
            let first = Problem::new(&telescope, wavelength, maps_of_first, options_of_first);
            let start = first.as_ref().unwrap().start.clone();
            let work = |_: &Problem| Ok(7);
            let done = meanwhile(first.unwrap(), &levels, &maps, &options, work);
            let (seven, mut legs) = done.unwrap();
            assert_eq!((seven, legs.len()), (7, levels.len() + 1));
            let samples: Vec<usize> = legs.iter().map(|leg| leg.problem.maps.samples()).collect();
            assert!(samples.is_sorted() && samples[legs.len() - 1] == maps.samples());
            for leg in &mut legs {
                assert_eq!(leg.function.is_some(), known);
                // What was made ahead is what would be made now.
                let which = leg.problem.free_up_to(3);
                let x = vec![0.01; which.len()];
                let value = leg.problem.function(&which, &start).value_and_gradient(&x);
                if let Some(function) = &mut leg.function {
                    assert_eq!(function.value_and_gradient(&x), value);
                }
            }
        }
    }

    #[test]
    fn what_the_work_says_of_an_error_comes_out() {
        let (telescope, maps, _) = simulated(48);
        let options = FitOptions { order: 2, ..FitOptions::default() };
        let first = Problem::new(&telescope, telescope.wavelength, &maps, &options).unwrap();
        let work = |_: &Problem| -> Result<()> { Err(crate::Error::failed("stopped")) };
        let done = meanwhile(first, &[], &maps, &options, work);
        assert_eq!(done.err().unwrap().to_string(), "stopped");
    }
}
