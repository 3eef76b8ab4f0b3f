//! Where a fit begins: which parameters are free, their start values, lengths and bounds, from the maps themselves and
//! from what was asked for by name.

use super::options::Nuisance;
use super::problem::Problem;
use crate::error::{Error, Result};
use crate::optics::beam_map::{BeamMap, Sampling, range};
use crate::optics::model::{LATERAL, Parameter, stem};
use crate::optics::zernike;

/// The lowest gain of a map, as a part of that which gives an unaberrated beam the map's peak: a map must
/// not be explained away.
const LEAST_GAIN: f64 = 0.2;
/// The peak of an unaberrated beam is for that at least this part of the highest one among the maps:
/// aberrations may well bring a map into focus.
const REFOCUSED: f64 = 0.4;

/// The largest coefficient of an amplitude's logarithm: a factor of 20 at the rim.
const MOST_AMPLITUDE: f64 = 3.0;

/// A fitted scale is at most this many e-foldings off: residuals that are all 0 have none.
const SCALE_RANGE: f64 = 12.0;

impl Problem<'_> {
    /// What is free unless the user says otherwise.
    pub(super) fn free_by_default(&mut self) {
        let Nuisance { offset, gain, background } = self.options.nuisance;
        // Piston has no effect; tilt is every map's offset where those are free.
        let first = if offset { zernike::count(1) } else { 1 };
        (first..zernike::count(self.options.order)).for_each(|j| self.free[j] = true);
        if let Some(scale) = self.scale_place() {
            self.free[scale] = true;
            self.bounds[scale] = (-SCALE_RANGE, SCALE_RANGE);
        }
        let mut names = self.telescope.free_illumination.clone();
        // An amplitude's polynomials do what the illumination's own parameters of their order do.
        let order = |name: &str| if ["x0", "y0"].contains(&name) { 1 } else { 2 };
        names.retain(|name| order(name) > self.options.amplitude_order);
        self.free[self.model.amplitude_places()].fill(true);
        if !gain {
            names.push("amp".into());
        }
        for name in names {
            if let Some(i) = self.model.position(&name) {
                self.free[i] = !(gain && name == "amp");
            }
        }
        for map in 0..self.maps.maps.len() {
            for (which, free) in [offset, offset, gain, background].into_iter().enumerate() {
                let i = self.model.place_in_map(which, map);
                self.free[i] = free;
            }
            // The two receivers of a chopped map are not equally sensitive; how far apart they look is
            // known from their mechanics.
            if let Some(chop) = self.model.chop_place() {
                self.free[chop + 1 + map] = gain;
            }
        }
    }

    /// Start values, lengths and bounds from the maps themselves.
    pub(super) fn guess(&mut self) {
        let beam = self.setup().beam();
        for (name, length, low, high) in [
            ("amp", 0.3, 0.0, f64::INFINITY),
            ("sigma", 0.1, 0.1, 5.0),
            ("x0", 0.05, -0.7, 0.7),
            ("y0", 0.05, -0.7, 0.7),
            ("taper", 3.0, -40.0, 3.0),
            ("q", 0.5, 0.2, 10.0),
            ("rho", 0.1, -1.5, 1.5),
            ("diff", 0.1, -0.9, 0.9),
        ] {
            if let Some(i) = self.model.position(name) {
                self.lengths[i] = length;
                self.bounds[i] = (low, high);
            }
        }
        self.lengths[self.model.amplitude_places()].fill(0.1);
        self.bounds[self.model.amplitude_places()].fill((-MOST_AMPLITUDE, MOST_AMPLITUDE));
        for name in LATERAL {
            if let Some(i) = self.model.position(name) {
                self.lengths[i] = self.wavelength;
            }
        }
        if let Some(chop) = self.model.chop_place() {
            let ratios = chop + 1..=chop + self.maps.maps.len();
            self.lengths[chop] = 0.1 * beam;
            self.lengths[ratios.clone()].fill(0.1);
            self.bounds[ratios].fill((0.0, 3.0));
        }
        let peaks = self.predictions(&self.start, |_, model| model.into_iter().fold(0.0, f64::max));
        let highest = peaks.iter().copied().fold(0.0, f64::max);
        for (k, map) in self.maps.maps.iter().enumerate() {
            let model_peak = peaks[k].max(f64::MIN_POSITIVE);
            let peak = map.robust_peak();
            let (mut low, u_centre, v_centre) = centroid(map);
            if self.model.chop_place().is_some() {
                // As much of the sky is below the background of two beams as above it.
                low = map.quantile(2, usize::MAX);
            }
            let ratio = (peak - low).max(0.0) / model_peak;
            let indices: [usize; 5] = std::array::from_fn(|w| self.model.place_in_map(w, k));
            let focus = 0.5 * self.wavelength;
            let lengths = [0.3 * beam, 0.3 * beam, 0.3 * ratio, 0.05 * peak.abs(), focus];
            for (&i, length) in indices.iter().zip(lengths) {
                self.lengths[i] = length.max(f64::MIN_POSITIVE);
            }
            let (Sampling::Raster { u, v } | Sampling::Scattered { u, v }) = &map.sampling;
            for (&i, axis) in indices.iter().zip([u, v]) {
                // A discrete far field has the same beam again and again.
                let (low, high) = range(axis);
                self.bounds[i] = (low - beam, high + beam);
            }
            if self.options.nuisance.offset {
                (self.start[indices[0]], self.start[indices[1]]) = (u_centre, v_centre);
            }
            if self.options.nuisance.gain {
                self.start[indices[2]] = ratio;
                // Other aberrations lower the model's peak, so that the gain ends above its start.
                let refocused = model_peak / model_peak.max(REFOCUSED * highest);
                self.bounds[indices[2]] = (LEAST_GAIN * ratio * refocused, f64::INFINITY);
            }
            if self.options.nuisance.background {
                self.start[indices[3]] = low;
            }
        }
    }

    /// What the user asked for by name.
    ///
    /// # Errors
    /// Unknown parameters, bounds of fixed ones, and starts beyond bounds.
    pub(super) fn edit(&mut self) -> Result<()> {
        let edits = &self.options.edits;
        for prior in &self.options.priors {
            for i in self.named(&prior.name)? {
                self.free[i] = true;
                self.begin(i, prior.mean);
            }
        }
        for name in &edits.free {
            self.named(name)?.into_iter().for_each(|i| self.free[i] = true);
        }
        for name in &edits.fix {
            for i in self.named(name)? {
                // What was guessed of the maps is where a search begins, not what anybody knows.
                (self.free[i], self.start[i]) = (false, self.parameters[i].default);
            }
        }
        for (name, value) in &edits.start {
            self.named(name)?.into_iter().for_each(|i| self.begin(i, *value));
        }
        for (name, low, high) in &edits.bound {
            let mut named = self.named(name)?;
            named.retain(|&i| self.free[i]);
            if named.is_empty() {
                let what = "is fixed, so a --bound says nothing of it; give --free too";
                return Err(Error::usage(format!("{name} {what}")));
            }
            named.into_iter().for_each(|i| self.bounds[i] = (*low, *high));
        }
        // What was asked for is not moved into them.
        let means = self.options.priors.iter().map(|prior| &prior.name);
        for name in edits.start.iter().map(|start| &start.0).chain(means) {
            for i in self.named(name)? {
                let ((low, high), start) = (self.bounds[i], self.start[i]);
                if start < low || start > high {
                    return Err(Error::usage(format!(
                        "{} starts at {start}, outside its bounds {low} and {high}; see --start, --prior and --bound",
                        self.parameters[i].name
                    )));
                }
            }
        }
        for (name, low, high) in &edits.bound {
            for i in self.named(name)? {
                if self.free[i] {
                    self.start[i] = self.start[i].clamp(*low, *high);
                }
            }
        }
        Ok(())
    }

    /// Has parameter `i` start at a value that was asked for. A pointing offset may be beyond the map, of which this may
    /// be a part.
    fn begin(&mut self, i: usize, value: f64) {
        self.start[i] = value;
        if matches!(stem(&self.parameters[i].name), "dx" | "dy") {
            let (low, high) = self.bounds[i];
            self.bounds[i] = (low.min(value), high.max(value));
        }
    }

    /// The parameters of this name: one, or one of every map.
    fn named(&self, name: &str) -> Result<Vec<usize>> {
        let of_map = |p: &Parameter| stem(&p.name) == name;
        let found: Vec<usize> = (0..self.parameters.len())
            .filter(|&i| self.parameters[i].name == name || of_map(&self.parameters[i]))
            .collect();
        if found.is_empty() {
            return Err(Error::usage(format!("unknown parameter '{name}' for this model")));
        }
        Ok(found)
    }
}

/// The low level of a map, and the centroid `(u, v)` of what stands well above it.
pub fn centroid(map: &BeamMap) -> (f64, f64, f64) {
    let low = map.quantile(4, usize::MAX);
    let place = |i: usize| match &map.sampling {
        Sampling::Raster { u, v } => (u[i % u.len()], v[i / u.len()]),
        Sampling::Scattered { u, v } => (u[i], v[i]),
    };
    let peak = map.robust_peak();
    let threshold = low + 0.3 * (peak - low);
    let (mut weight, mut sum_u, mut sum_v) = (0.0, 0.0, 0.0);
    for (i, &p) in map.power.iter().enumerate() {
        if p > threshold {
            // No sample counts for more than the peak: a glitch is one of many.
            let above = p.min(peak) - threshold;
            weight += above;
            sum_u += above * place(i).0;
            sum_v += above * place(i).1;
        }
    }
    if weight > 0.0 { (low, sum_u / weight, sum_v / weight) } else { (low, 0.0, 0.0) }
}
