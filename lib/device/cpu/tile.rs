//! The interpreter: a region's code on one tile, an instruction at a time over the whole tile.

use super::elementary::Elementary;
use super::isa::{Machine, vectorised};
use super::shared::Shared;
use super::vector::Batch;
use super::{Held, Real, TILE};
use crate::device::Op;
use crate::device::basis::Basis;
use crate::device::fourier::GROUP;
use crate::device::program::{Code, Operand, Region, ScalarId, Summand};
use rustfft::num_complex::Complex;
use std::sync::{Mutex, MutexGuard};

/// What a thread needs for itself.
pub struct Workspace<T: Real> {
    /// The tile registers.
    slots: Vec<Box<[T]>>,
    /// A block of columns of every stream, forward ones first.
    pub blocks: Vec<Vec<Batch<T>>>,
    /// Lines under way, and where the next pass writes them.
    pub lines: [Vec<Batch<T>>; 2],
    /// The inputs of lines.
    pub inputs: Vec<Batch<T>>,
    pub scratch: Vec<Complex<T>>,
    chebyshev: Vec<T>,
}

/// How large a workspace has to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    pub slots: usize,
    pub streams: usize,
    pub lines: usize,
    pub scratch: usize,
    pub terms: usize,
}

impl<T: Real> Workspace<T> {
    fn new(needs: Needs) -> Self {
        let zeros = || vec![Batch::default(); needs.lines];
        let slot = |_| vec![T::zero(); TILE].into();
        Workspace {
            slots: (0..needs.slots).map(slot).collect(),
            blocks: (0..needs.streams).map(|_| zeros()).collect(),
            lines: [zeros(), zeros()],
            inputs: zeros(),
            scratch: vec![Complex::default(); needs.scratch],
            chebyshev: Vec::with_capacity(needs.terms),
        }
    }
}

/// A workspace for every thread.
pub struct Workspaces<T: Real>(Vec<Mutex<Workspace<T>>>);

impl<T: Real> Workspaces<T> {
    pub fn new(count: usize, needs: Needs) -> Self {
        let one = |_| Mutex::new(Workspace::new(needs));
        Workspaces((0..count.max(1)).map(one).collect())
    }

    /// That of this thread. One that a panicking thread left behind is as good as any.
    pub fn mine(&self) -> MutexGuard<'_, Workspace<T>> {
        let index = rayon::current_thread_index().unwrap_or(0) % self.0.len();
        self.0[index].lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Elements `offset..offset + len` of a region.
#[derive(Clone, Copy)]
pub struct Tile {
    pub offset: usize,
    pub len: usize,
    /// Where the tile starts in its block.
    pub in_block: usize,
    /// For a block of columns: their length, and how many there are.
    pub column: usize,
    pub columns: usize,
}

/// Everything that a region reads.
pub struct Sources<'a, T> {
    pub scalars: &'a [f64],
    pub arrays: &'a [Held<T>],
    pub fields: &'a [Shared<Complex<T>>],
}

impl<'a, T: Real> Sources<'a, T> {
    fn array(&self, index: usize, tile: Tile) -> &'a [T] {
        // SAFETY: a region reads no array that it writes (asserted when the program is loaded), and
        // regions run one after the other.
        let values = unsafe { self.arrays[index].read() };
        &values[tile.offset..tile.offset + tile.len]
    }

    fn field(&self, index: usize, tile: Tile) -> &'a [Complex<T>] {
        // SAFETY: as for arrays.
        let values = unsafe { self.fields[index].read() };
        &values[tile.offset..tile.offset + tile.len]
    }

    /// An operand's values on a tile.
    fn argument(&self, operand: Operand, tile: Tile, slots: &'a [Box<[T]>]) -> Argument<'a, T> {
        match operand {
            Operand::Slot(slot) => Argument::Many(&slots[slot][..tile.len]),
            Operand::Array(array) => Argument::Many(self.array(array, tile)),
            Operand::Scalar(scalar) => Argument::One(T::of(self.scalars[scalar])),
        }
    }
}

/// An operand's values on a tile.
#[derive(Clone, Copy)]
pub enum Argument<'a, T> {
    One(T),
    Many(&'a [T]),
}

impl<T: Real> Argument<'_, T> {
    #[inline(always)]
    fn at(&self, i: usize) -> T {
        match self {
            Argument::One(value) => *value,
            Argument::Many(values) => values[i],
        }
    }
}

/// Runs the region's code on one tile; results are left in the registers.
pub fn run<T: Real>(
    region: &Region,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &mut Workspace<T>,
) {
    for code in &region.code {
        match code {
            Code::Map { op, a, b, out } => {
                // Taken out so that the operands can be borrowed; they are other registers.
                let mut result = std::mem::take(&mut workspace.slots[*out]);
                let a = sources.argument(*a, tile, &workspace.slots);
                let b = sources.argument(*b, tile, &workspace.slots);
                map(*op, a, b, &mut result[..tile.len]);
                workspace.slots[*out] = result;
            }
            Code::LoadField { field, re, im } => {
                split(sources.field(*field, tile), *re, *im, &mut workspace.slots);
            }
            Code::LoadStream { stream, re, im } => {
                let slots = &mut workspace.slots;
                let mut real = std::mem::take(&mut slots[*re]);
                from_block(&workspace.blocks[*stream], tile, &mut real, &mut slots[*im]);
                slots[*re] = real;
            }
            Code::Combine { basis, coefficients, out } => {
                let mut result = std::mem::take(&mut workspace.slots[*out]);
                let out_part = &mut result[..tile.len];
                combine(
                    basis,
                    coefficients,
                    sources.scalars,
                    tile,
                    &mut workspace.chebyshev,
                    out_part,
                );
                workspace.slots[*out] = result;
            }
        }
    }
}

fn split<T: Real>(values: &[Complex<T>], re: usize, im: usize, slots: &mut [Box<[T]>]) {
    let mut real = std::mem::take(&mut slots[re]);
    let imaginary = &mut slots[im][..values.len()];
    parts(values, &mut real[..values.len()], imaginary);
    slots[re] = real;
}

vectorised!(pub fn parts(values: &[Complex<T>], re: &mut [T], im: &mut [T]) = parts_inline);
vectorised!(
    /// One operation over a tile.
    pub fn map(op: Op, a: Argument<T>, b: Argument<T>, out: &mut [T]) = map_inline
);
vectorised!(
    /// A tile of a block of columns.
    pub fn from_block(block: &[Batch<T>], tile: Tile, re: &mut [T], im: &mut [T]) = from_block_inline
);
vectorised!(
    /// The other way, with the parts exchanged, as adjoints have them.
    pub fn to_block(re: Argument<T>, im: Argument<T>, tile: Tile, block: &mut [Batch<T>]) = to_block_inline
);
vectorised!(
    /// Joins two real results to a complex one.
    pub fn join(re: Argument<T>, im: Argument<T>, out: &mut [Complex<T>]) = join_inline
);
vectorised!(pub fn add_up(values: &[T], sum: &mut f64) = add_up_inline);
vectorised!(pub fn add_up_ln_1p(values: &[T], sum: &mut f64) = add_up_ln_1p_inline);
vectorised!(pub fn clenshaw(c: &[T], abscissa: &[f64], out: &mut [T]) = clenshaw_inline);
vectorised!(
    pub fn moments(
        values: Argument<T>, from: usize, abscissa: &[f64], first: usize, out: &mut [f64; TERMS],
    ) = moments_inline
);

#[inline(always)]
fn parts_inline<T: Real, M: Machine>(values: &[Complex<T>], re: &mut [T], im: &mut [T]) {
    for ((z, re), im) in values.iter().zip(re).zip(im) {
        (*re, *im) = (z.re, z.im);
    }
}

/// Fills `out` with an expression in one operand. A macro, because a closure is compiled for the
/// instruction set of where it is written, unless it happens to be inlined.
macro_rules! unary {
    ($a:expr, $out:expr, |$x:ident| $value:expr) => {
        match $a {
            Argument::One($x) => $out.fill($value),
            Argument::Many(values) => {
                for (out, &$x) in $out.iter_mut().zip(values) {
                    *out = $value;
                }
            }
        }
    };
}

/// The same in two operands.
macro_rules! binary {
    ($a:expr, $b:expr, $out:expr, |$x:ident, $y:ident| $value:expr) => {
        match ($a, $b) {
            (Argument::One($x), Argument::One($y)) => $out.fill($value),
            (Argument::One($x), many) => unary!(many, $out, |$y| $value),
            (many, Argument::One($y)) => unary!(many, $out, |$x| $value),
            (Argument::Many(a), Argument::Many(b)) => {
                for ((out, &$x), &$y) in $out.iter_mut().zip(a).zip(b) {
                    *out = $value;
                }
            }
        }
    };
}

/// The parts of a tile that lie in one group of columns: where each starts in the tile and how long it
/// is, the first row and lane that it has, and how many columns the group has.
#[inline(always)]
fn in_groups(tile: Tile, mut each: impl FnMut(usize, usize, usize, usize, usize)) {
    let size = GROUP * tile.column;
    let mut done = 0;
    while done < tile.len {
        let at = tile.in_block + done;
        let group = at / size;
        let width = GROUP.min(tile.columns - group * GROUP);
        let len = (width * tile.column - (at - group * size)).min(tile.len - done);
        each(done, len, at - group * size, group * GROUP, width);
        done += len;
    }
}

#[inline(always)]
fn from_block_inline<T: Real, M: Machine>(
    block: &[Batch<T>],
    tile: Tile,
    re: &mut [T],
    im: &mut [T],
) {
    in_groups(tile, |done, len, at, lane, width| {
        let (re, im) = (&mut re[done..done + len], &mut im[done..done + len]);
        if width == GROUP && at % GROUP == 0 && len % GROUP == 0 {
            let parts = re.chunks_exact_mut(GROUP).zip(im.chunks_exact_mut(GROUP));
            for ((re, im), batch) in parts.zip(&block[at / GROUP..]) {
                re.copy_from_slice(&batch.re.as_ref()[lane..lane + GROUP]);
                im.copy_from_slice(&batch.im.as_ref()[lane..lane + GROUP]);
            }
        } else {
            for (i, (re, im)) in re.iter_mut().zip(im).enumerate() {
                let (row, lane) = ((at + i) / width, lane + (at + i) % width);
                *re = block[row].re.as_ref()[lane];
                *im = block[row].im.as_ref()[lane];
            }
        }
    });
}

#[inline(always)]
fn to_block_inline<T: Real, M: Machine>(
    re: Argument<T>,
    im: Argument<T>,
    tile: Tile,
    block: &mut [Batch<T>],
) {
    in_groups(tile, |done, len, at, lane, width| match (re, im) {
        (Argument::Many(re), Argument::Many(im))
            if width == GROUP && at % GROUP == 0 && len % GROUP == 0 =>
        {
            let (re, im) = (&re[done..done + len], &im[done..done + len]);
            let parts = re.chunks_exact(GROUP).zip(im.chunks_exact(GROUP));
            for ((re, im), batch) in parts.zip(&mut block[at / GROUP..]) {
                batch.im.as_mut()[lane..lane + GROUP].copy_from_slice(re);
                batch.re.as_mut()[lane..lane + GROUP].copy_from_slice(im);
            }
        }
        _ => {
            for i in 0..len {
                let (row, lane) = ((at + i) / width, lane + (at + i) % width);
                block[row].im.as_mut()[lane] = re.at(done + i);
                block[row].re.as_mut()[lane] = im.at(done + i);
            }
        }
    });
}

#[inline(always)]
fn map_inline<T: Real, M: Machine>(op: Op, a: Argument<T>, b: Argument<T>, out: &mut [T]) {
    match op {
        Op::Copy => unary!(a, out, |a| a),
        Op::Neg => unary!(a, out, |a| -a),
        Op::Square => unary!(a, out, |a| a * a),
        Op::Sqrt => unary!(a, out, |a| a.sqrt()),
        Op::Exp => unary!(a, out, |a| a.exp_inline::<M>()),
        Op::Ln => unary!(a, out, |a| a.ln_inline::<M>()),
        Op::Ln1p => unary!(a, out, |a| a.ln_1p_inline::<M>()),
        Op::Sin if turns_far(a) => unary!(a, out, |a| a.sin()),
        Op::Sin => unary!(a, out, |a| a.sin_inline::<M>()),
        Op::Cos if turns_far(a) => unary!(a, out, |a| a.cos()),
        Op::Cos => unary!(a, out, |a| a.cos_inline::<M>()),
        Op::Abs => unary!(a, out, |a| a.abs()),
        Op::Sign => unary!(a, out, |a| if a == T::zero() { a } else { a / a.abs() }),
        Op::Powi(n) => unary!(a, out, |a| a.powi(n)),
        Op::Add => binary!(a, b, out, |a, b| a + b),
        Op::Sub => binary!(a, b, out, |a, b| a - b),
        Op::Mul => binary!(a, b, out, |a, b| a * b),
        // One division where there would be many, an error of half a unit in the last place more.
        Op::Div => match b {
            Argument::One(b) if (T::one() / b).is_normal() => {
                let factor = T::one() / b;
                unary!(a, out, |a| a * factor)
            }
            _ => binary!(a, b, out, |a, b| a / b),
        },
        Op::Norm2 => binary!(a, b, out, |a, b| M::mul_add(a, a, b * b)),
    }
}

/// Whether an angle is too large, or no number, for the fast sine and cosine.
#[inline(always)]
fn turns_far<T: Real>(a: Argument<T>) -> bool {
    let far = |a: T| if a.abs() <= T::TURNS { 0 } else { 1u32 };
    match a {
        Argument::One(a) => far(a) > 0,
        Argument::Many(a) => a.iter().fold(0, |count, &a| count | far(a)) > 0,
    }
}

#[inline(always)]
fn join_inline<T: Real, M: Machine>(re: Argument<T>, im: Argument<T>, out: &mut [Complex<T>]) {
    match (re, im) {
        (Argument::Many(re), Argument::Many(im)) => {
            for ((out, &re), &im) in out.iter_mut().zip(re).zip(im) {
                *out = Complex::new(re, im);
            }
        }
        _ => {
            for (i, out) in out.iter_mut().enumerate() {
                *out = Complex::new(re.at(i), im.at(i));
            }
        }
    }
}

/// A sum in eight lanes, always the same ones, so that it can be vectorised and is reproducible.
#[inline(always)]
fn add_up_inline<T: Real, M: Machine>(values: &[T], sum: &mut f64) {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|v| v.wide()).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.wide();
        }
    }
    *sum = lanes.iter().sum::<f64>() + rest;
}

/// Numbers that share a logarithm.
const FACTORS: usize = 8;

/// `sum ln(1 + x)`, with `(1 + p)(1 + x) = 1 + (p (1 + x) + x)`: the product less 1 keeps the digits of
/// small `x`, and one logarithm serves eight numbers. Where the product could overflow or change its
/// sign every number has its own.
#[inline(always)]
fn add_up_ln_1p_inline<T: Real, M: Machine>(values: &[T], sum: &mut f64) {
    let safe = |x: T| u32::from(x.wide() > -0.5) & u32::from(x.wide() < 1e30);
    if values.iter().fold(1, |all, &x| all & safe(x)) == 0 {
        *sum = values.iter().map(|x| x.wide().ln_1p()).sum();
        return;
    }
    // Twice as many lanes as usual, because each factor waits for the one before.
    const WIDE: usize = 2 * LANES;
    let mut lanes = [0.0; WIDE];
    let chunks = values.chunks_exact(FACTORS * WIDE);
    let rest = chunks.remainder().iter().map(|x| x.wide().ln_1p());
    let rest: f64 = rest.sum();
    for chunk in chunks {
        let mut product = [0.0; WIDE];
        for x in chunk.chunks_exact(WIDE) {
            for l in 0..WIDE {
                let x = x[l].wide();
                product[l] = M::mul_add(product[l], 1.0 + x, x);
            }
        }
        for l in 0..WIDE {
            lanes[l] += product[l].ln_1p_inline::<M>();
        }
    }
    *sum = lanes.iter().sum::<f64>() + rest;
}

/// Points that are worked on together along a run.
const LANES: usize = 8;

/// Clenshaw's recurrence: the Chebyshev sum with coefficients `c` at every point.
#[inline(always)]
fn clenshaw_inline<T: Real, M: Machine>(c: &[T], abscissa: &[f64], out: &mut [T]) {
    for (out, abscissa) in out.chunks_mut(LANES).zip(abscissa.chunks(LANES)) {
        let mut s = [T::zero(); LANES];
        for (s, &a) in s.iter_mut().zip(abscissa) {
            *s = T::of(a);
        }
        let (mut next, mut after) = ([T::zero(); LANES], [T::zero(); LANES]);
        for &c in c[1..].iter().rev() {
            for l in 0..LANES {
                let sum = M::mul_add(s[l] + s[l], next[l], c - after[l]);
                (next[l], after[l]) = (sum, next[l]);
            }
        }
        for (l, out) in out.iter_mut().enumerate() {
            *out = M::mul_add(s[l], next[l], c[0] - after[l]);
        }
    }
}

/// The most Chebyshev terms that a projection handles a pass over a run.
const TERMS: usize = 16;

/// `out[k] = sum values T_{first + k}` over the points of a run, whose first value is `from`.
#[inline(always)]
fn moments_inline<T: Real, M: Machine>(
    values: Argument<T>,
    from: usize,
    abscissa: &[f64],
    first: usize,
    out: &mut [f64; TERMS],
) {
    let mut sums = [[0.0; LANES]; TERMS];
    for (chunk, abscissa) in abscissa.chunks(LANES).enumerate() {
        let (mut s, mut value) = ([0.0; LANES], [0.0; LANES]);
        for (l, &a) in abscissa.iter().enumerate() {
            s[l] = a;
            value[l] = values.at(from + chunk * LANES + l).wide();
        }
        let (mut t, mut next) = ([1.0; LANES], s);
        for _ in 0..first {
            for l in 0..LANES {
                (t[l], next[l]) = (next[l], 2.0 * s[l] * next[l] - t[l]);
            }
        }
        for sums in &mut sums {
            for l in 0..LANES {
                sums[l] = M::mul_add(value[l], t[l], sums[l]);
                (t[l], next[l]) = (next[l], M::mul_add(2.0 * s[l], next[l], -t[l]));
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(&sums) {
        *out = sums.iter().sum();
    }
}

/// Copies a real result out of its register.
pub fn copy_real<T: Real>(
    source: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [T],
) {
    match sources.argument(source, tile, &workspace.slots) {
        Argument::One(value) => out.fill(value),
        Argument::Many(values) => out.copy_from_slice(values),
    }
}

/// Copies a complex result out of two registers.
pub fn copy_complex<T: Real>(
    re: Operand,
    im: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [Complex<T>],
) {
    let re = sources.argument(re, tile, &workspace.slots);
    join(re, sources.argument(im, tile, &workspace.slots), out);
}

/// Hands the cotangents of a tile to block `stream`.
pub fn copy_to_block<T: Real>(
    re: Operand,
    im: Operand,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &mut Workspace<T>,
    stream: usize,
) {
    let Workspace { slots, blocks, .. } = workspace;
    let (re, im) = (sources.argument(re, tile, slots), sources.argument(im, tile, slots));
    to_block(re, im, tile, &mut blocks[stream]);
}

/// The sums of a tile, in `f64`: those of single results first, then the projections.
pub fn sums<T: Real>(
    region: &Region,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &Workspace<T>,
    out: &mut [f64],
) {
    let (single, mut rest) = out.split_at_mut(region.sums.len());
    for (total, sum) in single.iter_mut().zip(&region.sums) {
        let values = sources.argument(sum.source, tile, &workspace.slots);
        match (values, sum.summand) {
            (Argument::One(value), Summand::Itself) => *total = value.wide() * tile.len as f64,
            (Argument::One(x), Summand::Ln1p) => *total = x.wide().ln_1p() * tile.len as f64,
            (Argument::Many(values), Summand::Itself) => add_up(values, total),
            (Argument::Many(values), Summand::Ln1p) => add_up_ln_1p(values, total),
        }
    }
    for projection in &region.projections {
        let (these, others) = rest.split_at_mut(projection.sums.len());
        let values = sources.argument(projection.source, tile, &workspace.slots);
        project(&projection.basis, values, tile, these);
        rest = others;
    }
}

/// The parts of a basis's runs that fall into a tile: (run, first point, end).
fn runs_of(basis: &Basis, tile: Tile) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = tile.offset + tile.len;
    let first = basis.runs().partition_point(|r| r.start + r.len <= tile.offset);
    let runs = basis.runs()[first..].iter().take_while(move |r| r.start < end);
    runs.enumerate()
        .map(move |(k, r)| (first + k, r.start.max(tile.offset), (r.start + r.len).min(end)))
}

fn combine<T: Real>(
    basis: &Basis,
    coefficients: &[ScalarId],
    scalars: &[f64],
    tile: Tile,
    chebyshev: &mut Vec<T>,
    out: &mut [T],
) {
    if basis.terms() == 0 {
        out.fill(T::zero());
        for (j, &c) in coefficients.iter().enumerate() {
            let c = T::of(scalars[c]);
            let row = &basis.values()[j * basis.len() + tile.offset..][..tile.len];
            for (out, &value) in out.iter_mut().zip(row) {
                *out = *out + c * T::of(value);
            }
        }
        return;
    }
    for (run, start, end) in runs_of(basis, tile) {
        // The coefficients of the sum along this run, then Clenshaw's recurrence a point.
        chebyshev.clear();
        for row in basis.chebyshev(run).chunks_exact(basis.count()) {
            let sum: f64 = row.iter().zip(coefficients).map(|(&w, &c)| w * scalars[c]).sum();
            chebyshev.push(T::of(sum));
        }
        let out = &mut out[start - tile.offset..end - tile.offset];
        clenshaw(chebyshev, &basis.abscissa()[start..end], out);
    }
}

fn project<T: Real>(basis: &Basis, values: Argument<T>, tile: Tile, out: &mut [f64]) {
    out.fill(0.0);
    if basis.terms() == 0 {
        for (j, out) in out.iter_mut().enumerate() {
            let row = &basis.values()[j * basis.len() + tile.offset..][..tile.len];
            *out = row.iter().enumerate().map(|(i, &b)| b * values.at(i).wide()).sum();
        }
        return;
    }
    for (run, start, end) in runs_of(basis, tile) {
        let rows = basis.chebyshev(run).chunks_exact(basis.count());
        let abscissa = &basis.abscissa()[start..end];
        let mut sums = [0.0; TERMS];
        for (k, row) in rows.enumerate() {
            if k % TERMS == 0 {
                moments(values, start - tile.offset, abscissa, k, &mut sums);
            }
            for (out, weight) in out.iter_mut().zip(row) {
                *out += sums[k % TERMS] * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::isa::Plain;

    #[test]
    fn the_logarithm_of_a_product_is_the_sum_of_the_logarithms() {
        // Numbers of all sizes; a tenth of them are large, and in the second case one is too large.
        for (scale, spike) in [(1.0, 1.0), (1e-14, 1.0), (1e3, 1e40), (1.0, -0.9), (1.0, -2.0)] {
            let mut x: Vec<f64> =
                (0..500).map(|i| scale * (0.1 * i as f64).sin().powi(2)).collect();
            x.iter_mut().step_by(10).for_each(|x| *x *= 1e6);
            x[77] = spike;
            let expected: f64 = x.iter().map(|x| x.ln_1p()).sum();
            let mut sum = 0.0;
            add_up_ln_1p(&x, &mut sum);
            let mut plain = 0.0;
            add_up_ln_1p_inline::<f64, Plain>(&x, &mut plain);
            for got in [sum, plain] {
                let same = got.is_nan() && expected.is_nan();
                let close = (got - expected).abs() < 50.0 * f64::EPSILON * expected.abs();
                assert!(same || close, "{scale} {spike}: {got} {expected}");
            }
        }
    }

    /// Every operation on tiles against its meaning for one number.
    #[test]
    fn every_operation_on_a_tile_is_that_on_a_number() {
        fn check<T: Real>(len: usize) {
            let a: Vec<T> = (0..len).map(|i| T::of(0.3 + 0.01 * i as f64)).collect();
            let b: Vec<T> = (0..len).map(|i| T::of(1.7 - 0.001 * i as f64)).collect();
            let mut out = vec![T::zero(); len];
            for op in Op::ALL {
                let many = (Argument::Many(&a), Argument::Many(&b));
                let one = (Argument::One(a[0]), Argument::One(b[0]));
                for (x, y) in [many, (many.0, one.1), (one.0, many.1), one] {
                    map(op, x, y, &mut out);
                    for (i, out) in out.iter().enumerate() {
                        let expected = op.apply(x.at(i).wide(), y.at(i).wide());
                        let error = (out.wide() - expected).abs();
                        let most = 4.0 * T::epsilon().wide() * expected.abs().max(1.0);
                        assert!(error <= most, "{op:?} {i}: {} {expected}", out.wide());
                    }
                }
            }
        }
        for len in [1, 7, 512] {
            check::<f64>(len);
            check::<f32>(len);
        }
    }
}
