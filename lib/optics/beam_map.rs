//! Beam maps: measured or simulated power on the sky, one map a focus setting.

use super::aperture::ApertureGrid;
use super::neighbours::Neighbours;
use rayon::prelude::*;

/// Where the samples of a map lie on the sky: offsets `u, v` from the pointing centre, radians.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampling {
    /// Every combination of `u` and `v`; samples run over `u` fastest: `(v, u)` row-major. Both axes
    /// are strictly monotonic; their steps need not be equal.
    Raster { u: Vec<f64>, v: Vec<f64> },
    /// One `(u, v)` a sample, anywhere.
    Scattered { u: Vec<f64>, v: Vec<f64> },
}

impl Sampling {
    pub fn is_raster(&self) -> bool {
        matches!(self, Sampling::Raster { .. })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Sampling::Raster { u, v } => u.len() * v.len(),
            Sampling::Scattered { u, .. } => u.len(),
        }
    }

    /// One `(u, v)` a sample, radians.
    pub fn points(&self) -> (Vec<f64>, Vec<f64>) {
        match self {
            Sampling::Scattered { u, v } => (u.clone(), v.clone()),
            Sampling::Raster { u, v } => {
                v.iter().flat_map(|&v| u.iter().map(move |&u| (u, v))).unzip()
            }
        }
    }

    /// How far the farthest sample lies from the origin along either axis, radians; 0 where there is none.
    pub fn reach(&self) -> f64 {
        let (Sampling::Raster { u, v } | Sampling::Scattered { u, v }) = self;
        u.iter().chain(v).fold(0.0, |a, x| a.max(x.abs()))
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The noise of a map's samples: one standard deviation, in the map's own power unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Sigma {
    Unknown,
    Constant(f64),
    PerSample(Vec<f64>),
}

/// One beam map.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamMap {
    /// What to call it in messages: an HDU's or a file's name.
    pub name: String,
    /// Sub-reflector displacement `dz`, metres.
    pub defocus: f64,
    pub sampling: Sampling,
    /// Power, any linear unit, in the order of `sampling`. NaN is a blank: it is left out of the fit.
    pub power: Vec<f64>,
    pub sigma: Sigma,
}

/// The lowest and the highest of some numbers, positions on an axis say. NaN is passed over; of nothing they are
/// infinity and its negative.
pub fn range(numbers: &[f64]) -> (f64, f64) {
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    (low, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// Samples that are looked at together for the highest.
const BLOCK: usize = 4096;

impl BeamMap {
    /// The largest power that is not blank; NaN when all are.
    pub fn peak(&self) -> f64 {
        self.power.iter().copied().fold(f64::NAN, f64::max)
    }

    /// The largest power of a sample whose neighbours are not far below it: the largest median of some neighbours, three
    /// by three of a raster, else the five nearest. Isolated glitches do not count, however strong; a beam that is
    /// sampled at `lambda / 2D` loses a third of its peak.
    pub fn robust_peak(&self) -> f64 {
        let neighbours = Neighbours::of(self);
        let around = |i: usize| neighbours.median(i);
        // Most of a large map is far below its peak: looking at the highest sample of every block tells that.
        let highest = |block: &[f64]| block.iter().copied().fold(f64::NAN, f64::max);
        let peaks: Vec<f64> = self.power.par_chunks(BLOCK).map(highest).collect();
        let peak = peaks.iter().copied().fold(f64::NAN, f64::max);
        let brightest = peaks.iter().rposition(|p| *p == peak);
        let in_block = |k: usize| k * BLOCK..((k + 1) * BLOCK).min(self.power.len());
        let brightest = brightest.and_then(|k| in_block(k).rfind(|&i| self.power[i] == peak));
        let mut best = brightest.map_or(f64::NAN, around);
        for k in (0..peaks.len()).filter(|&k| !peaks[k].is_nan()) {
            // A median above all so far has a sample above it in its middle or next to it.
            if peaks[k] > best {
                for i in in_block(k) {
                    if self.power[i] > best {
                        best = best.max(around(i));
                    }
                }
            }
        }
        best
    }

    /// The largest power that is no strong glitch's: that of a sample no higher than twice the robust peak, of which coarse
    /// sampling takes less than half.
    pub fn peak_of_beam(&self) -> f64 {
        let (peak, limit) = (self.peak(), 2.0 * self.robust_peak());
        match peak > limit && limit > 0.0 {
            true => self.power.iter().copied().filter(|p| *p <= limit).fold(f64::NAN, f64::max),
            false => peak,
        }
    }

    /// The power that one in `share` of the samples is below, of `most` samples or fewer; 0 of blanks alone. `share` is
    /// 2 or more.
    pub fn quantile(&self, share: usize, most: usize) -> f64 {
        let some = self.power.iter().step_by(self.power.len().div_ceil(most).max(1));
        let mut known: Vec<f64> = some.copied().filter(|p| p.is_finite()).collect();
        let at = known.len() / share;
        match known.is_empty() {
            true => 0.0,
            false => *known.select_nth_unstable_by(at, f64::total_cmp).1,
        }
    }

    /// Takes a level off, the [`quantile`](BeamMap::quantile) of `share`, and returns it, where it is no less than half of
    /// what the beam rises above it: of maps of total power, whose peak tells nothing of the beam's.
    pub fn take_off_level(&mut self, share: usize) -> Option<f64> {
        let level = self.quantile(share, 1 << 14);
        let far = level.abs() >= 0.5 * (self.robust_peak() - level).abs() && level != 0.0;
        far.then(|| {
            self.power.iter_mut().for_each(|power| *power -= level);
            level
        })
    }

    /// The largest size of a sample at the edge of a raster, in its power unit.
    pub fn edge(&self) -> f64 {
        let Sampling::Raster { u, v } = &self.sampling else {
            return 0.0;
        };
        let (width, last) = (u.len(), self.power.len() - u.len());
        let sides = (0..v.len()).flat_map(|row| [row * width, (row + 1) * width - 1]);
        let all = sides.chain(0..width).chain(last..self.power.len());
        all.map(|i| self.power[i].abs()).fold(0.0, f64::max)
    }

    /// Blanks the samples that stand out from those around them by more than these are themselves and half
    /// the beam's peak: more than any beam does that is sampled at `lambda / 2D` or closer.
    pub fn blank_spikes(&mut self) {
        let (limit, neighbours) = (0.5 * self.robust_peak(), Neighbours::of(self));
        let spike = |i: usize| {
            // Most samples are far from it, and cheaply told.
            self.power[i].abs() > limit && {
                let middle = neighbours.median(i);
                (self.power[i] - middle).abs() > middle.abs() + limit
            }
        };
        let spikes: Vec<usize> = (0..self.power.len()).filter(|&i| spike(i)).collect();
        spikes.into_iter().for_each(|i| self.power[i] = f64::NAN);
    }

    /// How many samples are not blank.
    pub fn known(&self) -> usize {
        self.power.iter().filter(|p| !p.is_nan()).count()
    }
}

/// Noise as a simulation made it, fractions: of the brightest map's peak, and of each sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Noise {
    /// Gaussian, the same for every sample: a fraction of the peak of the brightest map.
    pub additive: f64,
    /// Gaussian, a fraction of each sample's own power.
    pub multiplicative: f64,
    /// The fraction of the samples that were replaced by glitches of up to 10 times the peak.
    pub outliers: f64,
}

/// What blurs all maps of an observation in the same way; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Blur {
    /// Of the source, a uniform disc, radians; 0 for a point. The disc has the flux of the point.
    pub radius: f64,
    /// Full width of the receiver's band about the frequency of the wavelength, Hz, all of it equally
    /// sensitive; 0 for one wavelength.
    pub bandwidth: f64,
}

/// The maps of one observation, with what their file says of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MapSet {
    pub maps: Vec<BeamMap>,
    /// Metres, where the file says.
    pub wavelength: Option<f64>,
    /// The telescope's name, where the file says.
    pub telescope: Option<String>,
    /// The source observed, where the file says.
    pub object: Option<String>,
    /// Mean elevation, radians, where the file says.
    pub elevation: Option<f64>,
    /// For maps of two beams, `P(u, v) - g P(u - chop, v)`: how far in `u` the second, negative one lies
    /// from the first, radians.
    pub chop: Option<f64>,
    /// Known displacements of the sub-reflector sideways, metres along x and y, one a map; none where it
    /// was not moved.
    pub shift: Vec<[f64; 2]>,
    /// [`Blur::radius`] and [`Blur::bandwidth`], where the file says.
    pub source_radius: Option<f64>,
    pub bandwidth: Option<f64>,
    /// The aperture grid whose discrete far field the maps' pixels are, for simulated maps.
    pub aperture: Option<ApertureGrid>,
    /// The illumination's kind (`gaussian`, `pedestal`, ...), for simulated maps.
    pub illumination: Option<String>,
    /// All noise there is: of simulated maps, and where the user says it.
    pub noise: Option<Noise>,
    /// For simulated maps.
    pub seed: Option<u64>,
    /// The parameters that a simulation used: name (`z5`, `sigma`, `gain[0]`) and value, SI.
    pub truth: Vec<(String, f64)>,
}

impl MapSet {
    /// Whether they are a simulation's, whose noise came with them.
    pub fn is_simulated(&self) -> bool {
        self.noise.is_some() && self.seed.is_some()
    }

    /// Whether the noise of every map is known.
    pub fn knows_sigmas(&self) -> bool {
        self.maps.iter().all(|map| map.sigma != Sigma::Unknown)
    }

    /// How many samples all maps have together.
    pub fn samples(&self) -> usize {
        self.maps.iter().map(|map| map.sampling.len()).sum()
    }

    /// What blurs the maps; what nobody says does not.
    pub fn blur(&self) -> Blur {
        Blur { radius: self.source_radius.unwrap_or(0.0), bandwidth: self.bandwidth.unwrap_or(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glitches_do_not_make_a_peak_and_are_blanked() {
        let axis: Vec<f64> = (0..21).map(f64::from).collect();
        let beam = |i: usize| {
            let (x, y) = ((i % 21) as f64 - 10.0, (i / 21) as f64 - 10.0);
            (-(x * x + y * y) / 8.0).exp()
        };
        let mut map = BeamMap {
            name: "beam".into(),
            defocus: 0.0,
            sampling: Sampling::Raster { u: axis.clone(), v: axis },
            power: (0..441).map(beam).collect(),
            sigma: Sigma::Unknown,
        };
        // The median of the middle nine is one of the four nearest: exp(-1/8).
        let clean = map.robust_peak();
        assert!((clean - (-0.125f64).exp()).abs() < 1e-12, "{clean}");
        let before = map.power.clone();
        map.blank_spikes();
        assert_eq!(map.power, before);
        // At lambda / 2D the peak stands alone: full width 2.4 samples.
        let sharp = |i: usize| beam(i).powf(8.0 * 4.0 * std::f64::consts::LN_2 / 2.4f64.powi(2));
        let mut narrow = BeamMap { power: (0..441).map(sharp).collect(), ..map.clone() };
        narrow.blank_spikes();
        assert_eq!(narrow.known(), narrow.power.len());
        map.power[30] = 7.0;
        map.power[222] = -3.0;
        map.power[400] = f64::NAN;
        assert_eq!(map.robust_peak(), clean);
        assert_eq!((map.peak(), map.peak_of_beam()), (7.0, 1.0));
        map.blank_spikes();
        let blank: Vec<usize> = (0..441).filter(|&i| map.power[i].is_nan()).collect();
        assert_eq!(blank, [30, 222, 400]);
    }

    /// As by a plain scan from the highest sample, which is a glitch.
    #[test]
    fn the_peak_of_a_large_map_is_that_of_all_its_blocks() {
        let (columns, rows) = (130, 97);
        let axis = |n: u32| (0..n).map(f64::from).collect::<Vec<f64>>();
        let sampling = Sampling::Raster { u: axis(columns), v: axis(rows) };
        let (columns, rows) = (columns as usize, rows as usize);
        // In the first block, in the last, and between two; with a glitch in another, and blanks.
        for middle in [columns * 3 + 7, columns * 93 + 60, BLOCK + 2, 2 * BLOCK - 1] {
            let off = |i: usize| {
                let x = (i % columns).abs_diff(middle % columns);
                (x * x + (i / columns).abs_diff(middle / columns).pow(2)) as f64
            };
            let mut power: Vec<f64> = (0..columns * rows)
                .map(|i| (-off(i) / 8.0).exp() + 1e-3 * (i % 7) as f64)
                .collect();
            power[5000] = 9.0;
            power[BLOCK..BLOCK + 1].fill(f64::NAN);
            let (name, sigma) = ("beam".to_string(), Sigma::Unknown);
            let map = BeamMap { name, defocus: 0.0, sampling: sampling.clone(), power, sigma };
            let neighbours = Neighbours::of(&map);
            let around = |i: usize| neighbours.median(i);
            let glitch = around(5000);
            let higher = |best: f64, i: usize| {
                if map.power[i] > best { best.max(around(i)) } else { best }
            };
            let known = (0..map.power.len()).fold(glitch, higher);
            assert_eq!(map.robust_peak(), known, "{middle}");
            assert!(known > 0.8 && known < 1.01, "{known}");
        }
    }
}
