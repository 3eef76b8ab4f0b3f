//! The interpreter: a region's code on one tile, an instruction at a time over the whole tile.

use super::{Held, Real, TILE, outside};
use crate::device::Op;
use crate::device::basis::Basis;
use crate::device::program::{Code, Operand, Region, ScalarId};
use rustfft::num_complex::Complex;
use std::sync::{Mutex, MutexGuard};

/// What a thread needs for itself.
pub struct Workspace<T> {
    /// The tile registers.
    slots: Vec<Box<[T]>>,
    /// A block of every stream, forward ones first.
    pub blocks: Vec<Vec<Complex<T>>>,
    pub column: Vec<Complex<T>>,
    pub scratch: Vec<Complex<T>>,
    chebyshev: Vec<T>,
}

impl<T: Real> Workspace<T> {
    pub fn new(slots: usize, streams: usize, block: usize, scratch: usize) -> Self {
        Workspace {
            slots: (0..slots).map(|_| vec![T::zero(); TILE].into()).collect(),
            blocks: (0..streams)
                .map(|_| vec![Complex::default(); block])
                .collect(),
            column: vec![Complex::default(); block.max(scratch)],
            scratch: vec![Complex::default(); scratch],
            chebyshev: Vec::with_capacity(64),
        }
    }
}

/// Locks a workspace; one that a panicking thread left behind is as good as any.
pub fn lock<T>(workspace: &Mutex<Workspace<T>>) -> MutexGuard<'_, Workspace<T>> {
    workspace.lock().unwrap_or_else(|e| e.into_inner())
}

/// Elements `offset..offset + len` of a region; `in_block` counts from the start of the block.
#[derive(Clone, Copy)]
pub struct Tile {
    pub offset: usize,
    pub len: usize,
    pub in_block: usize,
}

/// Everything that a region reads.
pub struct Sources<'a, T> {
    pub scalars: &'a [f64],
    pub arrays: &'a [Held<T>],
    pub fields: &'a [Vec<Complex<T>>],
}

/// An operand's values on a tile.
#[derive(Clone, Copy)]
pub enum Argument<'a, T> {
    One(T),
    Many(&'a [T]),
}

impl<T: Real> Argument<'_, T> {
    fn at(&self, i: usize) -> T {
        match self {
            Argument::One(value) => *value,
            Argument::Many(values) => values[i],
        }
    }
}

fn argument<'a, T: Real>(
    operand: Operand,
    sources: &Sources<'a, T>,
    tile: Tile,
    slots: &'a [Box<[T]>],
) -> Argument<'a, T> {
    match operand {
        Operand::Slot(slot) => Argument::Many(&slots[slot][..tile.len]),
        other => outside(other, sources, tile),
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
                let a = argument(*a, sources, tile, &workspace.slots);
                let b = argument(*b, sources, tile, &workspace.slots);
                map(*op, a, b, &mut result[..tile.len]);
                workspace.slots[*out] = result;
            }
            Code::LoadField { field, re, im } => {
                let values = &sources.fields[*field][tile.offset..tile.offset + tile.len];
                split(values, *re, *im, &mut workspace.slots);
            }
            Code::LoadStream { stream, re, im } => {
                let values = &workspace.blocks[*stream][tile.in_block..tile.in_block + tile.len];
                split(values, *re, *im, &mut workspace.slots);
            }
            Code::Combine {
                basis,
                coefficients,
                out,
            } => {
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
    for (out, z) in slots[re].iter_mut().zip(values) {
        *out = z.re;
    }
    for (out, z) in slots[im].iter_mut().zip(values) {
        *out = z.im;
    }
}

/// One operation over a tile.
fn map<T: Real>(op: Op, a: Argument<T>, b: Argument<T>, out: &mut [T]) {
    match op {
        Op::Copy => unary(a, out, |a| a),
        Op::Neg => unary(a, out, |a| -a),
        Op::Square => unary(a, out, |a| a * a),
        Op::Sqrt => unary(a, out, |a| a.sqrt()),
        Op::Exp => unary(a, out, |a| a.exp()),
        Op::Ln => unary(a, out, |a| a.ln()),
        Op::Ln1p => unary(a, out, |a| a.ln_1p()),
        Op::Sin => unary(a, out, |a| a.sin()),
        Op::Cos => unary(a, out, |a| a.cos()),
        Op::Abs => unary(a, out, |a| a.abs()),
        Op::Sign => unary(a, out, |a| if a == T::zero() { a } else { a / a.abs() }),
        Op::Powi(n) => unary(a, out, |a| a.powi(n)),
        Op::Add => binary(a, b, out, |a, b| a + b),
        Op::Sub => binary(a, b, out, |a, b| a - b),
        Op::Mul => binary(a, b, out, |a, b| a * b),
        Op::Div => binary(a, b, out, |a, b| a / b),
        Op::Norm2 => binary(a, b, out, |a, b| a * a + b * b),
    }
}

fn unary<T: Real>(a: Argument<T>, out: &mut [T], f: impl Fn(T) -> T) {
    match a {
        Argument::One(a) => out.fill(f(a)),
        Argument::Many(a) => out.iter_mut().zip(a).for_each(|(out, &a)| *out = f(a)),
    }
}

fn binary<T: Real>(a: Argument<T>, b: Argument<T>, out: &mut [T], f: impl Fn(T, T) -> T) {
    match (a, b) {
        (Argument::One(a), Argument::One(b)) => out.fill(f(a, b)),
        (Argument::One(a), Argument::Many(b)) => {
            out.iter_mut().zip(b).for_each(|(out, &b)| *out = f(a, b));
        }
        (Argument::Many(a), Argument::One(b)) => {
            out.iter_mut().zip(a).for_each(|(out, &a)| *out = f(a, b));
        }
        (Argument::Many(a), Argument::Many(b)) => {
            let pairs = a.iter().zip(b);
            out.iter_mut()
                .zip(pairs)
                .for_each(|(out, (&a, &b))| *out = f(a, b));
        }
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
    unary(
        argument(source, sources, tile, &workspace.slots),
        out,
        |a| a,
    );
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
    let re = argument(re, sources, tile, &workspace.slots);
    let im = argument(im, sources, tile, &workspace.slots);
    for (i, out) in out.iter_mut().enumerate() {
        *out = Complex::new(re.at(i), im.at(i));
    }
}

/// The sums of a tile, in `f64`: those of single results first, then the projections.
pub fn sums<T: Real>(
    region: &Region,
    sources: &Sources<T>,
    tile: Tile,
    workspace: &mut Workspace<T>,
    out: &mut [f64],
) {
    let (single, mut rest) = out.split_at_mut(region.sums.len());
    for (sum, &(source, _)) in single.iter_mut().zip(&region.sums) {
        *sum = match argument(source, sources, tile, &workspace.slots) {
            Argument::One(value) => value.wide() * tile.len as f64,
            Argument::Many(values) => add_up(values),
        };
    }
    for projection in &region.projections {
        let (these, others) = rest.split_at_mut(projection.sums.len());
        let values = argument(projection.source, sources, tile, &workspace.slots);
        project(&projection.basis, values, tile, these);
        rest = others;
    }
}

/// A sum in eight lanes, always the same ones, so that it can be vectorised and is reproducible.
fn add_up<T: Real>(values: &[T]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|v| v.wide()).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.wide();
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The parts of a basis's runs that fall into a tile: (run, first point, end).
fn runs_of(basis: &Basis, tile: Tile) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = tile.offset + tile.len;
    let first = basis
        .runs()
        .partition_point(|r| r.start + r.len <= tile.offset);
    let runs = basis.runs()[first..]
        .iter()
        .take_while(move |r| r.start < end);
    runs.enumerate().map(move |(k, r)| {
        (
            first + k,
            r.start.max(tile.offset),
            (r.start + r.len).min(end),
        )
    })
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
            let sum: f64 = row
                .iter()
                .zip(coefficients)
                .map(|(&w, &c)| w * scalars[c])
                .sum();
            chebyshev.push(T::of(sum));
        }
        let abscissa = &basis.abscissa()[start..end];
        let out = &mut out[start - tile.offset..end - tile.offset];
        for (out, &s) in out.iter_mut().zip(abscissa) {
            let s = T::of(s);
            let (mut next, mut after) = (T::zero(), T::zero());
            for &c in chebyshev[1..].iter().rev() {
                (next, after) = (c + (s + s) * next - after, next);
            }
            *out = chebyshev[0] + s * next - after;
        }
    }
}

/// The most Chebyshev terms that a projection handles a pass over a run.
const TERMS: usize = 16;

fn project<T: Real>(basis: &Basis, values: Argument<T>, tile: Tile, out: &mut [f64]) {
    out.fill(0.0);
    if basis.terms() == 0 {
        for (j, out) in out.iter_mut().enumerate() {
            let row = &basis.values()[j * basis.len() + tile.offset..][..tile.len];
            *out = row
                .iter()
                .enumerate()
                .map(|(i, &b)| b * values.at(i).wide())
                .sum();
        }
        return;
    }
    for (run, start, end) in runs_of(basis, tile) {
        let mut rows = basis.chebyshev(run).chunks_exact(basis.count());
        let mut first = 0;
        while first < basis.terms() {
            let terms = TERMS.min(basis.terms() - first);
            let mut moments = [0.0; TERMS];
            for i in start..end {
                let s = basis.abscissa()[i];
                let value = values.at(i - tile.offset).wide();
                let (mut t, mut next) = chebyshev_pair(s, first);
                for moment in &mut moments[..terms] {
                    *moment += value * t;
                    (t, next) = (next, 2.0 * s * next - t);
                }
            }
            for (moment, row) in moments[..terms].iter().zip(&mut rows) {
                for (out, weight) in out.iter_mut().zip(row) {
                    *out += moment * weight;
                }
            }
            first += terms;
        }
    }
}

/// The Chebyshev polynomials `T_k(s)` and `T_{k+1}(s)`.
fn chebyshev_pair(s: f64, k: usize) -> (f64, f64) {
    let (mut t, mut next) = (1.0, s);
    for _ in 0..k {
        (t, next) = (next, 2.0 * s * next - t);
    }
    (t, next)
}
