//! The Fourier transform to scattered samples, and its adjoint: see [`crate::device::scattered`].
//!
//! The pixels, divided by the window's transform and folded, become the grid of frequencies by two
//! products of matrices; there each sample gathers its window. The adjoint takes the same steps back.
//! Where windows overlap the samples add up in their order, row by row: threads own bands of rows, so
//! that a sum never depends on their number.

mod windows;

use super::folding::{fold, unfold};
use super::product::product;
use super::shared::Shared;
use super::team::Crew;
use super::{Real, TILE, each};
use crate::device::Scattered;
use crate::device::program::{ScatteredTransform, Step};
use crate::device::scattered::PAD;
use rustfft::num_complex::Complex;
use std::ops::Range;
use std::sync::Arc;
use windows::{gather, spread};

/// How many bands of rows share the work of many samples.
const BANDS: usize = 64;
/// Rows of a product that a thread takes at a time.
const ROWS: usize = 16;
/// What a transform is made of, one after the other: to or from the pixels, two products, to or from the
/// samples.
const STAGES: usize = 4;

/// A transform, prepared for one precision.
pub struct NonUniform<T: Real> {
    plan: Arc<Scattered>,
    /// Where every pixel is on the box that holds them all.
    places: Vec<u32>,
    scale: Arc<Vec<T>>,
    phases: [Arc<Vec<T>>; 2],
    /// The kernels along y, `[point][pair]`, and along x, `[pair][point]`, and the other way round.
    kernel_y: [Vec<T>; 2],
    kernel_x: [Vec<T>; 2],
    /// The weights of every sample, along x in whole lines of 64 bytes.
    along_x: Arc<Vec<T>>,
    along_y: Arc<Vec<T>>,
    /// Bands of rows, with the samples whose windows reach into them.
    bands: Vec<(Range<usize>, Range<usize>)>,
}

/// What one transform needs for itself while it runs, row after row.
///
/// A pair of pixels about the middle is `a`, their sum, and `b`, their difference, and its transform is `a cos
/// - i b sin` (see [`crate::device::scattered`]). With `Re a, Im b` and then `Im a, -Re b` in a row, one product
/// with real `[cos, sin]` gives the real and then the imaginary part.
struct Buffers<T: Real> {
    /// The box of pixels: `[pixel along y][re, im][pixel along x]`.
    pixels: Shared<T>,
    /// `[of cos, of sin along y][pair along y][Re a, Im b, Im a, -Re b][pair along x]`.
    folded: Shared<T>,
    /// `[point along y][Re a, Im b, Im a, -Re b][pair along x]`.
    half: Shared<T>,
    /// The grid of frequencies: `[point along y][re, im][point along x]`.
    grid: Shared<T>,
}

impl<T: Real> NonUniform<T> {
    fn new(plan: &Arc<Scattered>) -> Self {
        let (x, y) = (&plan.x, &plan.y);
        let place = |p: &(u32, u32)| (p.0 - y.low) * 2 * x.used as u32 + p.1 - x.low;
        let both = |kernel: Vec<f64>, pairs: usize| {
            let points = kernel.len() / (2 * pairs);
            let transposed = (0..kernel.len()).map(|i| kernel[i % points * 2 * pairs + i / points]);
            let transposed = transposed.map(T::of).collect();
            [kernel.into_iter().map(T::of).collect(), transposed]
        };
        let [x_by_point, x_by_pair] = both(x.kernel(), x.pairs());
        NonUniform {
            places: plan.pixels().iter().map(place).collect(),
            scale: T::adopt(&plan.scale),
            phases: [0, 1].map(|i: usize| T::adopt(&plan.phases[i])),
            kernel_y: both(y.kernel(), y.pairs()),
            kernel_x: [x_by_pair, x_by_point],
            along_x: in_lines(&plan.along_x, plan.width),
            along_y: T::adopt(&plan.along_y),
            bands: bands(&plan.starts, plan.width, y.len),
            plan: plan.clone(),
        }
    }

    /// Lengths of the buffers, in their order.
    fn lengths(&self) -> [usize; 4] {
        let (x, y) = (&self.plan.x, &self.plan.y);
        let row = 4 * x.pairs();
        [2 * x.used * y.used, 2 * y.pairs() * row, y.len * row, 2 * y.len * x.len]
    }

    /// Numbers in a row of the grid.
    fn stride(&self) -> usize {
        2 * self.plan.x.len
    }

    /// Parts of a stage of the transform, or of its adjoint.
    fn parts(&self, adjoint: bool, stage: usize) -> usize {
        let y = &self.plan.y;
        match (adjoint, stage) {
            (false, 0) | (true, 3) => 1,
            (false, 1) => y.len.div_ceil(ROWS),
            (false, 2) | (true, 1) => (2 * y.len).div_ceil(ROWS),
            (true, 2) => (2 * y.pairs()).div_ceil(ROWS),
            (false, _) => self.plan.starts.len().div_ceil(TILE),
            (true, _) => self.bands.len(),
        }
    }

    /// One part of a stage of the transform, from the pixels' `field` to the samples `out`.
    ///
    /// # Safety
    /// Each part is called once, and those of a stage when all of the stage before have
    /// ended. Nobody else uses the buffers, nor `out`.
    unsafe fn forward(
        &self,
        (stage, part): (usize, usize),
        field: &[Complex<T>],
        out: &Shared<Complex<T>>,
        buffers: &Buffers<T>,
    ) {
        let (x, y) = (&self.plan.x, &self.plan.y);
        let [of_pixels, of_folded, of_half, of_grid] = self.lengths();
        let Buffers { pixels, folded, half, grid } = buffers;
        // SAFETY: a stage writes what no other part of it writes or reads, and reads what the stage before
        // wrote.
        unsafe {
            match stage {
                0 => {
                    let (pixels, folded) = (pixels.part(0, of_pixels), folded.part(0, of_folded));
                    pixels.fill(T::zero());
                    for ((&place, z), &scale) in self.places.iter().zip(field).zip(&*self.scale) {
                        let place = place as usize;
                        (pixels[place], pixels[place + x.used]) = (z.re * scale, z.im * scale);
                    }
                    fold(pixels, x.used, folded, x.pairs(), y.pairs());
                }
                1 => {
                    let right = &folded.read()[..of_folded];
                    multiply(part, &self.kernel_y[0], right, 2 * y.pairs(), half, of_half);
                }
                2 => {
                    let left = &half.read()[..of_half];
                    multiply(part, left, &self.kernel_x[0], 2 * x.pairs(), grid, of_grid);
                }
                _ => {
                    let first = part * TILE;
                    let len = TILE.min(self.plan.starts.len() - first);
                    gather(self, &grid.read()[..of_grid], first, out.part(first, len));
                }
            }
        }
    }

    /// One part of a stage of the adjoint, from the samples' `cotangent` to the pixels `out`.
    ///
    /// # Safety
    /// As [`NonUniform::forward`].
    unsafe fn adjoint(
        &self,
        (stage, part): (usize, usize),
        cotangent: &[Complex<T>],
        out: &Shared<Complex<T>>,
        buffers: &Buffers<T>,
    ) {
        let (x, y) = (&self.plan.x, &self.plan.y);
        let [of_pixels, of_folded, of_half, of_grid] = self.lengths();
        let Buffers { pixels, folded, half, grid } = buffers;
        // SAFETY: as in `forward`; bands do not overlap.
        unsafe {
            match stage {
                0 => {
                    let (rows, samples) = &self.bands[part];
                    let (first, len) = (rows.start * self.stride(), rows.len() * self.stride());
                    let grid = grid.part(first, len);
                    grid.fill(T::zero());
                    spread(self, cotangent, samples.clone(), rows.clone(), grid);
                }
                1 => {
                    let left = &grid.read()[..of_grid];
                    multiply(part, left, &self.kernel_x[1], x.len, half, of_half);
                }
                2 => {
                    let right = &half.read()[..of_half];
                    multiply(part, &self.kernel_y[1], right, y.len, folded, of_folded);
                }
                _ => {
                    let (pixels, folded) = (pixels.part(0, of_pixels), folded.part(0, of_folded));
                    unfold(folded, x.pairs(), y.pairs(), pixels, x.used);
                    let out = out.part(0, self.places.len());
                    for ((out, &place), &scale) in
                        out.iter_mut().zip(&self.places).zip(&*self.scale)
                    {
                        let place = place as usize;
                        *out = Complex::new(pixels[place] * scale, pixels[place + x.used] * scale);
                    }
                }
            }
        }
    }
}

impl<T: Real> Buffers<T> {
    fn new(lengths: [usize; 4]) -> Self {
        let [pixels, folded, half, grid] = lengths.map(Shared::zeros);
        Buffers { pixels, folded, half, grid }
    }
}

/// Some rows, number `part`, of the product of `left`, whose rows are `inner` long, and `right`: they are those
/// of the first `len` numbers of `out`.
///
/// # Safety
/// Nobody else uses these rows of `out`.
unsafe fn multiply<T: Real>(
    part: usize,
    left: &[T],
    right: &[T],
    inner: usize,
    out: &Shared<T>,
    len: usize,
) {
    let columns = right.len() / inner;
    let first = part * ROWS;
    let rows = ROWS.min(len / columns - first);
    // SAFETY: by the caller's promise.
    let out = unsafe { out.part(first * columns, rows * columns) };
    product(&left[first * inner..(first + rows) * inner], right, inner, columns, out);
}

/// All transforms to scattered samples of a program, with what they need to run.
pub struct NonUniforms<T: Real> {
    /// Found by the address of what they were made from.
    prepared: Vec<NonUniform<T>>,
    /// For each of those that run at the same time.
    buffers: Vec<Buffers<T>>,
}

impl<T: Real> NonUniforms<T> {
    /// Prepares the transforms of these steps.
    ///
    /// # Panics
    /// When a transform of a step writes what another one of it reads or writes: planning makes no such step.
    pub fn new(steps: &[Step]) -> Self {
        let groups = || {
            steps.iter().filter_map(|step| match step {
                Step::Scattered(some) => Some(some),
                Step::Scalars(_) | Step::Region(_) => None,
            })
        };
        let apart = |some: &Vec<ScatteredTransform>| {
            some.iter().enumerate().all(|(i, one)| {
                let read = some.iter().any(|other| other.from == one.to);
                !read && some[..i].iter().all(|other| other.to != one.to)
            })
        };
        assert!(groups().all(apart), "the transforms of a step must write fields of their own");
        let mut prepared: Vec<NonUniform<T>> = Vec::new();
        for one in groups().flatten() {
            if !prepared.iter().any(|p| Arc::ptr_eq(&p.plan, &one.transform)) {
                prepared.push(NonUniform::new(&one.transform));
            }
        }
        let lengths = prepared.iter().map(NonUniform::lengths);
        let lengths =
            lengths.fold([0; 4], |most, one| std::array::from_fn(|i| most[i].max(one[i])));
        let together = groups().map(Vec::len).max().unwrap_or(0);
        NonUniforms { buffers: (0..together).map(|_| Buffers::new(lengths)).collect(), prepared }
    }

    /// Runs transforms from field to field.
    pub fn run(&mut self, some: &[ScatteredTransform], fields: &[Shared<Complex<T>>], crew: &Crew) {
        let NonUniforms { prepared, buffers } = self;
        let find = |one: &ScatteredTransform| {
            let found = prepared.iter().find(|p| Arc::ptr_eq(&p.plan, &one.transform));
            found.expect("every transform was prepared at loading")
        };
        for stage in 0..STAGES {
            each(
                crew,
                some.iter().map(|one| find(one).parts(one.adjoint, stage)),
                |_, (which, part)| {
                    let (one, buffers) = (&some[which], &buffers[which]);
                    let (transform, to) = (find(one), &fields[one.to]);
                    // SAFETY: what these transforms read is complete, and each writes another field, which
                    // none of them reads (asserted when the program was loaded), and has buffers of its own.
                    // Every part of a stage is called once, and `each` waits for all.
                    unsafe {
                        let from = fields[one.from].read();
                        match one.adjoint {
                            false => transform.forward((stage, part), from, to, buffers),
                            true => transform.adjoint((stage, part), from, to, buffers),
                        }
                    }
                },
            );
        }
    }
}

/// The weights along x, zeros behind those of every sample up to whole lines of 64 bytes.
fn in_lines<T: Real>(along_x: &Arc<Vec<f64>>, width: usize) -> Arc<Vec<T>> {
    let (from, to) = (width.next_multiple_of(PAD), width.next_multiple_of(T::LANES));
    if from == to {
        return T::adopt(along_x);
    }
    let one = |weights: &[f64]| {
        (0..to).map(|j| T::of(weights.get(j).copied().unwrap_or(0.0))).collect::<Vec<T>>()
    };
    Arc::new(along_x.chunks_exact(from).flat_map(one).collect())
}

/// Cuts `rows` rows into bands of similar work, none narrower than a window.
fn bands(starts: &[(u32, u32)], width: usize, rows: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let enough = (starts.len() / BANDS).max(4 * TILE);
    let before = |row: usize| starts.partition_point(|s| (s.0 as usize) < row);
    let mut bands = Vec::new();
    let mut first = 0;
    while first < rows {
        let mut end = first + width;
        while end < rows && before(end) - before(first) < enough {
            end += 1;
        }
        // What is left is no band of its own.
        let end = if end + width > rows { rows } else { end };
        bands.push((first..end, before((first + 1).saturating_sub(width))..before(end)));
        first = end;
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::super::team::Team;
    use super::*;
    use num_complex::Complex64;

    /// What the transform makes of a field, or its adjoint of a cotangent.
    fn run<T: Real>(plan: &Arc<Scattered>, input: &[Complex64], adjoint: bool) -> Vec<Complex64> {
        let len = if adjoint { plan.pixels().len() } else { plan.outputs() };
        let fields = [Shared::zeros(input.len()), Shared::zeros(len)];
        // SAFETY: nobody else uses the fields.
        let (from, to) = unsafe { (fields[0].part(0, input.len()), fields[1].part(0, len)) };
        to.fill(Complex::new(T::nan(), T::nan()));
        let narrow = |z: &Complex64| Complex::new(T::of(z.re), T::of(z.im));
        from.iter_mut().zip(input).for_each(|(to, z)| *to = narrow(z));
        let one = ScatteredTransform { transform: plan.clone(), adjoint, from: 0, to: 1 };
        let some = vec![one];
        let mut all = NonUniforms::<T>::new(&[Step::Scattered(some.clone())]);
        let mut team = Team::new(rayon::current_num_threads());
        // Twice: nothing of the first run may be left over in the second.
        (0..2).for_each(|_| team.lead(|| Crew::with(9, |crew| all.run(&some, &fields, crew))));
        // SAFETY: nothing runs.
        let to = unsafe { fields[1].read() };
        to.iter().map(|z| Complex64::new(z.re.in_f64(), z.im.in_f64())).collect()
    }

    /// Numbers without a pattern, from -1 to 1.
    fn random(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    fn complex(len: usize, seed: u64) -> Vec<Complex64> {
        random(2 * len, seed).chunks(2).map(|z| Complex64::new(z[0], z[1])).collect()
    }

    /// A disc of pixels in a corner of a grid, with a hole.
    fn disc(across: u32) -> Vec<(u32, u32)> {
        let middle = f64::from(across - 1) / 2.0;
        let inside = |p: &(u32, u32)| {
            let r = (f64::from(p.0) - middle).hypot(f64::from(p.1) - middle);
            r <= middle + 0.5 && (across < 5 || r > 0.2 * middle)
        };
        let all = (0..across).flat_map(|row| (0..across).map(move |column| (row, column)));
        all.filter(inside).map(|(row, column)| (row + 3, column + 7)).collect()
    }

    /// `count` samples within `reach` turns a pixel, some of them twice.
    fn samples(count: usize, reach: (f64, f64)) -> Vec<(f64, f64)> {
        let turns = random(2 * count, 7);
        let one = |i: usize| {
            let i = if i % 5 == 4 { i / 2 } else { i };
            (reach.0 * turns[2 * i], reach.1 * turns[2 * i + 1])
        };
        (0..count).map(one).collect()
    }

    fn inner(a: &[Complex64], b: &[Complex64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a.conj() * b).re).sum()
    }

    /// The largest error of the transform and of its adjoint, each over the sum of the moduli of what goes
    /// in, and by how much `<Ax, y>` is not `<x, A'y>`, over the product of the norms.
    fn errors<T: Real>(plan: &Arc<Scattered>, direct: &[Vec<Complex64>; 2]) -> [f64; 3] {
        let (x, y) = (complex(plan.pixels().len(), 1), complex(plan.outputs(), 2));
        let (ax, aty) = (run::<T>(plan, &x, false), run::<T>(plan, &y, true));
        let error = |got: &[Complex64], known: &[Complex64], input: &[Complex64]| {
            let errors = got.iter().zip(known).map(|(a, b)| (a - b).norm());
            errors.fold(0.0, f64::max) / input.iter().map(|z| z.norm()).sum::<f64>()
        };
        let norm = |z: &[Complex64]| inner(z, z).sqrt();
        [
            error(&ax, &direct[0], &x),
            error(&aty, &direct[1], &y),
            (inner(&ax, &y) - inner(&x, &aty)).abs() / (norm(&ax) * norm(&y)),
        ]
    }

    /// The plain sums of the same, which depend on no tolerance.
    fn direct(plan: &Scattered) -> [Vec<Complex64>; 2] {
        let (x, y) = (complex(plan.pixels().len(), 1), complex(plan.outputs(), 2));
        [plan.direct(&x), plan.direct_adjoint(&y)]
    }

    #[test]
    fn a_transform_and_its_adjoint_agree_with_the_plain_sum_to_the_tolerance() {
        // Odd and even sizes, a single pixel; one sample, few, and more than a tile and a band; all of
        // the sky, a narrow strip, and far beyond what the pixels can tell apart.
        let cases = [
            (1, 3, (0.4, 0.4)),
            (2, 5, (0.5, 0.5)),
            (9, 1, (0.3, 0.2)),
            (24, 700, (0.25, 0.02)),
            (33, 3000, (0.5, 0.5)),
            (40, 2500, (0.02, 0.4)),
            (17, 300, (3.7, 0.1)),
        ];
        for (across, count, reach) in cases {
            let centre = (8.0 + 0.5 * f64::from(across), 2.25);
            let plan = |tolerance| {
                Arc::new(Scattered::new(disc(across), centre, &samples(count, reach), tolerance))
            };
            let direct = direct(&plan(1.0));
            for tolerance in [1e-3, 1e-6, 1e-9, 1e-12] {
                let [forward, adjoint, dot] = errors::<f64>(&plan(tolerance), &direct);
                assert!(forward < tolerance, "{across} {count} {tolerance}: {forward}");
                assert!(adjoint < tolerance, "{across} {count} {tolerance}: {adjoint}");
                // What the adjoint is the adjoint of is the transform as computed, not the plain sum.
                assert!(dot < 1e-13, "{across} {count} {tolerance}: {dot}");
                let [forward, adjoint, dot] = errors::<f32>(&plan(tolerance), &direct);
                assert!(forward < tolerance.max(1e-6), "f32 {across} {count}: {forward}");
                assert!(adjoint < tolerance.max(1e-6), "f32 {across} {count}: {adjoint}");
                assert!(dot < 1e-5, "f32 {across} {count}: {dot}");
            }
        }
    }

    #[test]
    fn a_wider_window_is_a_better_one() {
        let error = |tolerance| {
            let samples = samples(700, (0.4, 0.4));
            let plan = Arc::new(Scattered::new(disc(24), (18.5, 14.5), &samples, tolerance));
            errors::<f64>(&plan, &direct(&plan))
        };
        let (narrow, wide) = (error(1e-3)[0], error(1e-9)[0]);
        assert!(wide < 1e-3 * narrow && wide > 1e-14, "{narrow} {wide}");
    }

    #[test]
    fn the_sums_are_the_same_for_any_number_of_threads() {
        let plan = Arc::new(Scattered::new(disc(33), (0.0, 0.0), &samples(9000, (0.5, 0.5)), 1e-9));
        let (x, y) = (complex(plan.pixels().len(), 1), complex(plan.outputs(), 2));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (run::<f64>(&plan, &x, false), run::<f64>(&plan, &y, true)))
        };
        let one = on(1);
        for threads in [2, 3, 8] {
            assert_eq!(on(threads), one);
        }
    }

    #[test]
    fn bands_hold_every_row_and_every_sample_that_reaches_it() {
        let starts: Vec<(u32, u32)> = (0..9000).map(|i| (i / 107, 0)).collect();
        let bands = bands(&starts, 10, 94);
        assert!(bands.len() > 3);
        assert_eq!((bands[0].0.start, bands[bands.len() - 1].0.end), (0, 94));
        assert!(bands.windows(2).all(|w| w[0].0.end == w[1].0.start));
        for (rows, samples) in &bands {
            assert!(rows.len() >= 10);
            for (i, start) in starts.iter().enumerate() {
                let reaches = (start.0 as usize) < rows.end && start.0 as usize + 10 > rows.start;
                assert_eq!(reaches, samples.contains(&i), "{rows:?} {i}");
            }
        }
    }
}
