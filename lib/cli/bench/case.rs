//! A case of the benchmark of arXiv:1805.07439: maps, where a fit starts, what is fitted. It lies in
//! a folder as `data.npy` and `case.json`, so that every implementation reads the very same bytes.

use super::table::CaseKind;
use crate::cli::maps::maps_of_cube;
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::fit::FitOptions;
use crate::fit::options::{Nuisance, ParameterEdits};
use crate::fit::problem::Problem;
use crate::fit::setup::Setup;
use crate::io::sink::{Content, Destination};
use crate::io::trouble::plain;
use crate::io::{npy, source};
use crate::optics::beam_map::{MapSet, Sigma};
use crate::optics::path::Path as Geometry;
use crate::optics::simulate::{SimulateOptions, simulate};
use crate::optics::telescope::Telescope;
use crate::optics::zernike;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Of every true Zernike coefficient, radians.
const ABERRATION: f64 = 0.3;
/// Value and gradient are compared this far from the truth in every parameter, where the gradient
/// is no rounding error.
const ASIDE: f64 = 0.05;

/// All but the samples. Lengths are in metres, coefficients in radians, powers in the maps' unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    pub grid: usize,
    pub order: u32,
    pub case: CaseKind,
    pub radius_m: f64,
    pub focal_length_m: f64,
    pub wavelength_m: f64,
    /// Half the grid's width in dish radii.
    pub extent: f64,
    pub defocus_m: Vec<f64>,
    /// Width of the illumination, dish radii.
    pub sigma: f64,
    /// One standard deviation of the additive noise.
    pub noise_sigma: f64,
    /// The Cauchy scale of each map.
    pub scale: Vec<f64>,
    /// The free parameters.
    pub parameters: Vec<String>,
    pub start: Vec<f64>,
    /// Where value and gradient are compared.
    pub at: Vec<f64>,
}

/// A case in memory, ready to be fitted.
pub struct Loaded {
    pub case: Case,
    pub telescope: Telescope,
    pub maps: MapSet,
}

/// The telescope of the benchmark with a grid of so many points.
pub fn telescope(grid: usize) -> Result<Telescope> {
    let mut telescope = Telescope::named("nikolic2018")?;
    telescope.aperture.points = grid;
    Ok(telescope)
}

impl Loaded {
    /// Simulates the maps. The same seed gives the same coefficients on every grid, and those of a low
    /// order are the first of a higher one.
    pub fn simulate(kind: CaseKind, grid: usize, order: u32, seed: u64) -> Result<Self> {
        let telescope = telescope(grid)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Streams 1, 2, ... are the maps' noise.
        rng.set_stream(0);
        let mut normal = || -> f64 { rng.sample(StandardNormal) };
        let names = (1..zernike::count(order)).map(|j| format!("z{j}"));
        let mut truth: Vec<(String, f64)> = names.map(|n| (n, ABERRATION * normal())).collect();
        truth.extend([("x0", 0.0), ("y0", 0.0), ("amp", 1.0)].map(|(n, v)| (n.to_string(), v)));
        let options = SimulateOptions {
            order,
            parameters: truth.clone(),
            seed,
            ..SimulateOptions::of(&telescope)
        };
        let maps = simulate(&telescope, &options)?;
        let width = maps.truth.iter().find(|p| p.0 == "sigma");
        let (Geometry::PrimeFocus { focal_length }, Some(&(_, sigma)), Sigma::Constant(noise)) =
            (&telescope.path, width, &maps.maps[0].sigma)
        else {
            return Err(Error::failed("nikolic2018 is not the paper's telescope"));
        };
        let mut start: Vec<f64> = truth.iter().map(|p| p.1).collect();
        if kind == CaseKind::Cold {
            start[..zernike::count(order) - 1].fill(0.0);
        }
        let case = Case {
            grid,
            order,
            case: kind,
            radius_m: telescope.radius,
            focal_length_m: *focal_length,
            wavelength_m: telescope.wavelength,
            extent: telescope.aperture.extent,
            defocus_m: telescope.defocus.clone(),
            sigma,
            noise_sigma: *noise,
            scale: Vec::new(),
            parameters: truth.iter().map(|p| p.0.clone()).collect(),
            start,
            at: truth.iter().map(|p| p.1 + ASIDE).collect(),
        };
        let mut loaded = Loaded { case, telescope, maps };
        let options = loaded.options(Precision::F64);
        loaded.case.scale = Problem::new(loaded.setup(&options))?.likelihood.scales;
        Ok(loaded)
    }

    /// Writes the case to a new folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let place = folder.display();
        std::fs::create_dir(folder).map_err(|e| Error::transfer(place, plain(e)))?;
        let json = serde_json::to_vec(&self.case);
        let json = json.map_err(|e| Error::failed(format!("cannot build case.json: {e}")))?;
        let data = npy::write_cube(&self.maps, Precision::F64)?;
        for (name, bytes) in [("case.json", json), ("data.npy", data)] {
            Destination::prepare(&folder.join(name), Content::Text, true)?.write(&bytes)?;
        }
        Ok(())
    }

    /// Reads a case.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("case.json");
        let case: Case = serde_json::from_slice(&source::read(&path)?)
            .map_err(|e| Error::input(path.display(), e))?;
        let telescope = telescope(case.grid)?;
        let path = folder.join("data.npy");
        let place = source::name(&path);
        let cube = npy::read_cube(&source::read(&path)?, &place)?;
        let (grid, radius, wavelength) = (telescope.aperture, case.radius_m, case.wavelength_m);
        let mut maps = maps_of_cube(&cube, &place, grid, radius, wavelength, &case.defocus_m)?;
        for map in &mut maps.maps {
            map.sigma = Sigma::Constant(case.noise_sigma);
        }
        // As `oof-fit` takes it for an array of this telescope's.
        maps.noise = Some(telescope.noise);
        Ok(Loaded { case, telescope, maps })
    }

    /// What to fit: the paper's parameters by its likelihood.
    pub fn options(&self, precision: Precision) -> FitOptions {
        let start = self.case.parameters.iter().cloned();
        let start = start.zip(self.case.start.iter().copied()).collect();
        FitOptions {
            order: self.case.order,
            nuisance: Nuisance::NONE,
            edits: ParameterEdits { start, ..Default::default() },
            aperture: Some(self.telescope.aperture),
            precision,
            errors: false,
            keep_models: false,
            ..FitOptions::default()
        }
    }

    pub fn setup<'a>(&'a self, options: &'a FitOptions) -> Setup<'a> {
        let (telescope, wavelength) = (&self.telescope, self.case.wavelength_m);
        Setup { telescope, wavelength, maps: &self.maps, options }
    }

    /// The positions of the free parameters among all of the problem's.
    pub fn positions(&self, problem: &Problem) -> Result<Vec<usize>> {
        let names = self.case.parameters.iter();
        let found = names.map(|name| problem.model.position(name)).collect();
        let found =
            Option::<Vec<usize>>::filter(found, |found| found.len() == problem.free_places().len());
        found.ok_or_else(|| Error::failed("the model has other parameters than the case"))
    }

    /// Value and gradient in `f64`, in the units and the order of the parameters.
    pub fn value_and_gradient(&self, at: &[f64]) -> Result<(f64, Vec<f64>)> {
        let options = self.options(Precision::F64);
        let problem = Problem::new(self.setup(&options))?;
        let which = self.positions(&problem)?;
        let mut origin = problem.start.clone();
        for (&i, &value) in which.iter().zip(at) {
            origin[i] = value;
        }
        let mut function = problem.function(&which, &origin);
        let (value, mut gradient) = function.value_and_gradient(&vec![0.0; which.len()]);
        for (slope, &i) in gradient.iter_mut().zip(&which) {
            *slope /= problem.lengths[i];
        }
        Ok((value, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [CaseKind::Paper, CaseKind::Cold] {
            let made = Loaded::simulate(kind, 32, 3, 7).unwrap();
            let of_kind = folder.path().join(format!("{kind:?}"));
            made.write(&of_kind).unwrap();
            let read = Loaded::read(&of_kind).unwrap();
            for (a, b) in read.maps.maps.iter().zip(&made.maps.maps) {
                assert!(a.power == b.power && a.sigma == b.sigma && a.sampling == b.sampling);
            }
            assert_eq!(read.case.parameters.len(), 9 + 3);
            let options = read.options(Precision::F64);
            let problem = Problem::new(read.setup(&options)).unwrap();
            assert_eq!(problem.likelihood.scales, made.case.scale);
            let which = read.positions(&problem).unwrap();
            let start: Vec<f64> = which.iter().map(|&i| problem.start[i]).collect();
            assert_eq!(start, made.case.start);
            let zero = read.case.start[..9].iter().all(|&z| z == 0.0);
            assert_eq!((zero, start[11]), (kind == CaseKind::Cold, 1.0));
        }
    }

    #[test]
    fn the_truth_is_the_same_on_every_grid_and_begins_alike_for_every_order() {
        let truth = |grid, order, seed| {
            let made = Loaded::simulate(CaseKind::Paper, grid, order, seed);
            made.unwrap().case.start
        };
        let low = truth(32, 2, 1);
        assert_eq!(low[..5], truth(64, 3, 1)[..5]);
        assert_ne!(low[..5], truth(32, 2, 2)[..5]);
    }
}
