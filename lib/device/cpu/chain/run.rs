//! The running of a chain: its links are bound to the numbers of a tile, and taken a few vectors at a time.

use super::{Input, LINKS, Link, Part, VECTORS};
use crate::device::Op;
use crate::device::cpu::Real;
use crate::device::cpu::isa::{Machine, vectorised};
use crate::device::cpu::register::Register;
use crate::device::cpu::tile::{Sources, Tile};
use crate::device::cpu::vector::{Batch, Vector, prefetch};
use crate::device::fourier::GROUP;
use crate::device::program::{ArrayId, Operand};

/// Room for the results of links that are for later ones.
pub fn saved<T: Real>() -> Register<T> {
    Register::of(LINKS * VECTORS)
}

/// What a chain reads and writes of a thread's own.
pub struct Places<'a, T: Real> {
    pub slots: &'a mut [Register<T>],
    /// Results of links for later ones.
    pub saved: &'a mut Register<T>,
    pub slabs: &'a mut [Vec<Batch<T>>],
}

vectorised!(
    /// A chain over a tile, directly on its slabs or on copies of them. Meanwhile asks for the data of
    /// `soon` on a later tile.
    pub fn run(
        chain: &[Link],
        direct: bool,
        sources: &Sources<T>,
        tile: Tile,
        soon: Option<(&[ArrayId], Tile)>,
        places: Places<T>,
    ) = run_inline
);

#[inline(always)]
fn run_inline<T: Real, M: Machine>(
    chain: &[Link],
    direct: bool,
    sources: &Sources<T>,
    tile: Tile,
    soon: Option<(&[ArrayId], Tile)>,
    mut places: Places<T>,
) {
    let whole = tile.len / T::LANES;
    let mut bound = [BoundLink::default(); LINKS];
    let bound = &mut bound[..chain.len()];
    bind(chain, direct, sources, tile, &mut places, bound);
    let mut from = 0;
    // SAFETY, of all blocks: they are vectors of the tile, which the links are bound to; what is written is
    // borrowed by `places` for the whole call, and what is read besides is never written by a region.
    macro_rules! blocks {
        ($vectors:expr) => {
            for _ in 0..(whole - from) / $vectors {
                ask(soon, sources, from * T::LANES, $vectors * T::LANES);
                unsafe { block::<T, M, { $vectors }>(bound, from) };
                from += $vectors;
            }
        };
    }
    blocks!(VECTORS);
    ask(soon, sources, from * T::LANES, tile.len);
    blocks!(1);
    if from * T::LANES < tile.len {
        let mut ends = [[T::Wide::default(); 2]; LINKS];
        end(chain, sources, tile, from * T::LANES, &mut ends, bound);
        unsafe { block::<T, M, 1>(bound, from) };
    }
}

/// Asks for a piece of the data that a later tile will read.
#[inline(always)]
fn ask<T: Real>(soon: Option<(&[ArrayId], Tile)>, sources: &Sources<T>, from: usize, len: usize) {
    let Some((arrays, tile)) = soon else { return };
    for &array in arrays {
        let values = sources.array(array, tile);
        let end = (from + len).min(values.len());
        prefetch(&values[from.min(end)..end]);
    }
}

/// The vectors of an operand or a result: where the first of a tile is, how many numbers it is from that
/// to those of the block that begins a vector later, and from one vector of a block to the next.
#[derive(Clone, Copy)]
struct Vectors<P> {
    start: P,
    advance: usize,
    step: usize,
}

/// What an operand is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The result of the link before.
    Last,
    /// A number for all.
    One,
    /// Vectors next to each other.
    Flat,
    /// The rows of one part of a slab: a vector each, or two to a vector, half a row each, where a vector is
    /// twice as wide as a tile.
    Slab,
}

#[derive(Clone, Copy)]
struct BoundInput<T> {
    kind: Kind,
    one: T,
    vectors: Vectors<*const T>,
}

/// A link and where its numbers are.
#[derive(Clone, Copy)]
struct BoundLink<T> {
    op: Op,
    a: BoundInput<T>,
    b: BoundInput<T>,
    /// A tile register and a place for later links, as far as there are some.
    outs: [Vectors<*mut T>; 2],
    count: usize,
    /// The slab of a cotangent.
    slab: Option<Vectors<*mut T>>,
}

impl<T: Real> Default for BoundLink<T> {
    fn default() -> Self {
        let from = Vectors { start: std::ptr::null(), advance: 0, step: 0 };
        let input = BoundInput { kind: Kind::Last, one: T::zero(), vectors: from };
        let to = Vectors { start: std::ptr::null_mut(), advance: 0, step: 0 };
        BoundLink { op: Op::Copy, a: input, b: input, outs: [to; 2], count: 0, slab: None }
    }
}

impl<T: Real> BoundLink<T> {
    fn push(&mut self, start: *mut T, advance: usize, step: usize) {
        self.outs[self.count] = Vectors { start, advance, step };
        self.count += 1;
    }
}

/// Finds the numbers of all links on a tile. Every result has room for `tile.len` numbers and the rest of
/// a vector, every operand that is not tight too.
#[inline(always)]
fn bind<T: Real>(
    chain: &[Link],
    direct: bool,
    sources: &Sources<T>,
    tile: Tile,
    places: &mut Places<T>,
    bound: &mut [BoundLink<T>],
) {
    let rows = tile.row..tile.row + tile.len / tile.width;
    // From the rows of one vector to those of the next.
    let stride = T::LANES / GROUP * 2 * T::LANES;
    let register = |slot: usize| {
        let register = &places.slots[slot];
        assert!(tile.len.next_multiple_of(T::LANES) <= register.len(), "a tile fits a register");
        register.start()
    };
    assert!(places.saved.len() >= LINKS * VECTORS * T::LANES, "results fit their places");
    let saved = places.saved.start();
    let saved = |link: usize| saved.wrapping_add(link * VECTORS * T::LANES);
    let mut slab = |part: Part| {
        let slab = &mut places.slabs[part.stream];
        assert!(rows.end <= slab.len() && tile.lane + GROUP <= T::LANES, "a tile fits a slab");
        // The parts are exchanged.
        let offset = rows.start * 2 * T::LANES + if part.imaginary { 0 } else { T::LANES };
        slab.as_mut_ptr().cast::<T>().wrapping_add(offset + tile.lane)
    };
    for (i, (link, bound)) in chain.iter().zip(bound).enumerate() {
        let lanes = T::LANES;
        let mut find = |input: Input| {
            let none = std::ptr::null();
            let (kind, one, start, advance, step) = match input {
                Input::Last => (Kind::Last, T::zero(), none, 0, 0),
                Input::Saved(link) => (Kind::Flat, T::zero(), saved(link).cast_const(), 0, lanes),
                Input::Slab(part, _) if direct => {
                    (Kind::Slab, T::zero(), slab(part).cast_const(), stride, stride)
                }
                Input::Slab(_, slot) | Input::Operand(Operand::Slot(slot)) => {
                    (Kind::Flat, T::zero(), register(slot).cast_const(), lanes, lanes)
                }
                Input::Operand(Operand::Array(array)) => {
                    (Kind::Flat, T::zero(), sources.array(array, tile).as_ptr(), lanes, lanes)
                }
                Input::Operand(Operand::Scalar(scalar)) => {
                    (Kind::One, T::of(sources.scalars[scalar]), none, 0, 0)
                }
            };
            BoundInput { kind, one, vectors: Vectors { start, advance, step } }
        };
        bound.op = link.op;
        (bound.a, bound.b) = (find(link.a), find(link.b));
        if link.kept || (link.cotangent.is_some() && !direct) {
            bound.push(register(link.out), lanes, lanes);
        }
        if link.saved {
            bound.push(saved(i), 0, lanes);
        }
        if let Some(part) = link.cotangent.filter(|_| direct) {
            bound.slab = Some(Vectors { start: slab(part), advance: stride, step: stride });
        }
    }
}

/// Gives tight operands that end amid a vector, at `from`, a whole one.
fn end<T: Real>(
    chain: &[Link],
    sources: &Sources<T>,
    tile: Tile,
    from: usize,
    ends: &mut [[T::Wide; 2]],
    bound: &mut [BoundLink<T>],
) {
    for ((link, ends), bound) in chain.iter().zip(ends).zip(bound) {
        let operands = [(link.a, &mut bound.a), (link.b, &mut bound.b)];
        for ((input, vectors), end) in operands.into_iter().zip(ends) {
            if let Input::Operand(Operand::Array(array)) = input {
                let last = &sources.array(array, tile)[from..];
                end.as_mut()[..last.len()].copy_from_slice(last);
                vectors.vectors =
                    Vectors { start: end.as_ref().as_ptr(), advance: 0, step: T::LANES };
            }
        }
    }
}

/// All links on the `N` vectors from `from` on.
///
/// # Safety
/// The links are bound to a tile that has these vectors, with nothing else in use of what they are bound to,
/// and the machine is there.
#[inline(always)]
unsafe fn block<T: Real, M: Machine, const N: usize>(links: &[BoundLink<T>], from: usize) {
    let lanes = T::LANES;
    let mut last = [T::Vector::<M>::splat(T::zero()); N];
    for link in links {
        let (a, b) = (&link.a, &link.b);
        // Vector `i` of an operand.
        macro_rules! get {
            (Last, $operand:ident, $start:ident, $i:ident) => {
                last[$i]
            };
            (One, $operand:ident, $start:ident, $i:ident) => {
                T::Vector::<M>::splat($operand.one)
            };
            (Flat, $operand:ident, $start:ident, $i:ident) => {
                // SAFETY: by the caller's promise the vectors are where `bind` found them.
                unsafe { T::Vector::<M>::read($start.add($i * lanes)) }
            };
            (Slab, $operand:ident, $start:ident, $i:ident) => {
                // SAFETY: as above.
                unsafe {
                    let row = $start.add($i * $operand.vectors.step);
                    match lanes == GROUP {
                        true => T::Vector::<M>::read(row),
                        false => T::Vector::<M>::read_halves(row, row.add(2 * lanes)),
                    }
                }
            };
        }
        macro_rules! each {
            ($a:ident, $b:ident, |$x:ident, $y:ident| $value:expr) => {{
                let start_a = a.vectors.start.wrapping_add(from * a.vectors.advance);
                let start_b = b.vectors.start.wrapping_add(from * b.vectors.advance);
                let _ = (start_a, start_b);
                for i in 0..N {
                    let ($x, $y) = (get!($a, a, start_a, i), get!($b, b, start_b, i));
                    last[i] = $value;
                }
            }};
        }
        macro_rules! unary {
            (|$x:ident| $value:expr) => {
                match a.kind {
                    Kind::Last => each!(Last, Last, |$x, _y| $value),
                    Kind::One => each!(One, One, |$x, _y| $value),
                    Kind::Flat => each!(Flat, Flat, |$x, _y| $value),
                    Kind::Slab => each!(Slab, Slab, |$x, _y| $value),
                }
            };
        }
        macro_rules! binary {
            (|$x:ident, $y:ident| $value:expr) => {
                match (a.kind, b.kind) {
                    (Kind::Last, Kind::Last) => each!(Last, Last, |$x, $y| $value),
                    (Kind::Last, Kind::One) => each!(Last, One, |$x, $y| $value),
                    (Kind::Last, Kind::Flat) => each!(Last, Flat, |$x, $y| $value),
                    (Kind::Last, Kind::Slab) => each!(Last, Slab, |$x, $y| $value),
                    (Kind::One, Kind::Last) => each!(One, Last, |$x, $y| $value),
                    (Kind::One, Kind::One) => each!(One, One, |$x, $y| $value),
                    (Kind::One, Kind::Flat) => each!(One, Flat, |$x, $y| $value),
                    (Kind::One, Kind::Slab) => each!(One, Slab, |$x, $y| $value),
                    (Kind::Flat, Kind::Last) => each!(Flat, Last, |$x, $y| $value),
                    (Kind::Flat, Kind::One) => each!(Flat, One, |$x, $y| $value),
                    (Kind::Flat, Kind::Flat) => each!(Flat, Flat, |$x, $y| $value),
                    (Kind::Flat, Kind::Slab) => each!(Flat, Slab, |$x, $y| $value),
                    (Kind::Slab, Kind::Last) => each!(Slab, Last, |$x, $y| $value),
                    (Kind::Slab, Kind::One) => each!(Slab, One, |$x, $y| $value),
                    (Kind::Slab, Kind::Flat) => each!(Slab, Flat, |$x, $y| $value),
                    (Kind::Slab, Kind::Slab) => each!(Slab, Slab, |$x, $y| $value),
                }
            };
        }
        match link.op {
            Op::Neg => unary!(|x| x.mul(T::Vector::<M>::splat(-T::one()))),
            Op::Square => unary!(|x| x.mul(x)),
            Op::Add => binary!(|x, y| x.add(y)),
            Op::Sub => binary!(|x, y| x.sub(y)),
            Op::Mul => binary!(|x, y| x.mul(y)),
            Op::Div => binary!(|x, y| x.div(y)),
            Op::Norm2 => binary!(|x, y| x.mul_add(x, y.mul(y))),
            Op::Copy => unary!(|x| x),
            other => unreachable!("{other:?} is no link"),
        }
        for out in &link.outs[..link.count] {
            let start = out.start.wrapping_add(from * out.advance);
            for (i, value) in last.iter().enumerate() {
                // SAFETY: by the caller's promise there is room where `bind` found it.
                unsafe { value.write(start.wrapping_add(i * out.step)) };
            }
        }
        if let Some(slab) = &link.slab {
            let start = slab.start.wrapping_add(from * slab.advance);
            for (i, value) in last.iter().enumerate() {
                let row = start.wrapping_add(i * slab.step);
                // SAFETY: as above; `row` and the next one are in the slab.
                unsafe {
                    match lanes == GROUP {
                        true => value.write(row),
                        false => value.write_halves(row, row.wrapping_add(2 * lanes)),
                    }
                }
            }
        }
    }
}
