//! The running of a chain: its links are bound to the numbers of a tile, and taken a few vectors at a time.

use super::{Input, LINES, LINKS, Link, Part};
use crate::device::Op;
use crate::device::cpu::Real;
use crate::device::cpu::isa::{Machine, vectorised};
use crate::device::cpu::register::Register;
use crate::device::cpu::tile::{Sources, Tile};
use crate::device::cpu::vector::{Batch, Vector, prefetch};
use crate::device::fourier::GROUP;
use crate::device::program::{ArrayId, Operand};
use std::mem::MaybeUninit;

/// Room for the results of links that are for later ones.
pub fn saved<T: Real>() -> Register<T> {
    Register::of(LINKS * LINES)
}

/// What a chain reads and writes of a thread's own.
pub struct Own<'a, T: Real> {
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
        own: Own<T>,
    ) = run_inline
);

#[inline(always)]
fn run_inline<T: Real, M: Machine>(
    chain: &[Link],
    direct: bool,
    sources: &Sources<T>,
    tile: Tile,
    soon: Option<(&[ArrayId], Tile)>,
    mut own: Own<T>,
) {
    let whole = tile.len / T::LANES;
    let mut bound = [const { MaybeUninit::uninit() }; LINKS];
    let binder = Binder { direct, sources, tile, own: &mut own };
    let bound = bind(chain, binder, &mut bound);
    let mut from = 0;
    // SAFETY, of all blocks: they are vectors of the tile, which the links are bound to; what is written is
    // borrowed by `own` for the whole call, and what is read besides is never written by a region.
    macro_rules! block {
        ($lines:expr) => {
            match T::Vector::<M>::PIECES {
                1 => unsafe { block::<T, M, { $lines }>(bound, from) },
                _ => unsafe { block::<T, M, { 2 * $lines }>(bound, from) },
            }
        };
    }
    macro_rules! blocks {
        ($lines:expr) => {
            for _ in 0..(whole - from) / $lines {
                ask(soon, sources, from * T::LANES, $lines * T::LANES);
                block!($lines);
                from += $lines;
            }
        };
    }
    blocks!(LINES);
    ask(soon, sources, from * T::LANES, tile.len);
    blocks!(1);
    if from * T::LANES < tile.len {
        let mut ends = [[T::Lanes::default(); 2]; LINKS];
        end(chain, sources, tile, from * T::LANES, &mut ends, bound);
        block!(1);
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

/// What an operand is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The result of the link before.
    Last,
    /// What was put aside.
    Aside,
    /// A number for all.
    One,
    /// Vectors next to each other.
    Flat,
    /// The rows of one part of a slab.
    Slab,
}

/// An operand and where it is.
#[derive(Clone, Copy)]
struct BoundInput<T> {
    kind: Kind,
    one: T,
    /// The first number of a tile.
    start: *const T,
    /// How many numbers it is from there to those of the block that begins a line later.
    advance: usize,
}

/// A link and where its numbers are.
#[derive(Clone, Copy)]
struct BoundLink<T> {
    op: Op,
    /// Whether the result is put aside.
    aside: bool,
    a: BoundInput<T>,
    b: BoundInput<T>,
    /// The tile register of the result, its place for later links, and the slab of a cotangent; null where there is
    /// none.
    kept: *mut T,
    saved: *mut T,
    slab: *mut T,
}

/// From the rows of one line to those of the next in a slab.
const fn stride<T: Real>() -> usize {
    T::LANES / GROUP * 2 * T::LANES
}

/// Where vector `i` of the rows of a slab begins. (It may fill a part of a row, or two rows.)
#[inline(always)]
fn in_slab<T: Real, M: Machine>(i: usize) -> usize {
    let number = i * T::Vector::<M>::LANES;
    number / GROUP * 2 * T::LANES + number % GROUP
}

/// Finds the numbers of links.
//
// (Always inlined: what a call returns is written in pieces and read as a whole, for which the processor waits as
// long as some vectors take through all links.)
struct Binder<'a, 'b, T: Real> {
    direct: bool,
    sources: &'a Sources<'a, T>,
    tile: Tile,
    own: &'a mut Own<'b, T>,
}

impl<T: Real> Binder<'_, '_, T> {
    #[inline(always)]
    fn register(&self, slot: usize) -> *mut T {
        let register = &self.own.slots[slot];
        let fits = self.tile.len.next_multiple_of(T::LANES) <= register.len();
        assert!(fits, "a tile fits a register");
        register.start()
    }

    #[inline(always)]
    fn saved(&self, link: usize) -> *mut T {
        assert!(self.own.saved.len() >= LINKS * LINES * T::LANES, "results fit their place");
        self.own.saved.start().wrapping_add(link * LINES * T::LANES)
    }

    #[inline(always)]
    fn slab(&mut self, part: Part) -> *mut T {
        let Tile { row, len, width, lane, .. } = self.tile;
        let slab = &mut self.own.slabs[part.stream];
        let fits = width == GROUP && row + len / GROUP <= slab.len() && lane + GROUP <= T::LANES;
        assert!(fits, "a tile fits a slab");
        // The parts are exchanged.
        let offset = row * 2 * T::LANES + if part.imaginary { 0 } else { T::LANES };
        slab.as_mut_ptr().cast::<T>().wrapping_add(offset + lane)
    }

    #[inline(always)]
    fn input(&mut self, input: Input) -> BoundInput<T> {
        let flat = |start: *const T, advance| (Kind::Flat, T::zero(), start, advance);
        let none = std::ptr::null();
        let (kind, one, start, advance) = match input {
            Input::Last => (Kind::Last, T::zero(), none, 0),
            Input::Aside => (Kind::Aside, T::zero(), none, 0),
            Input::Saved(link) => flat(self.saved(link), 0),
            Input::Slab(part, _) if self.direct => {
                (Kind::Slab, T::zero(), self.slab(part).cast_const(), stride::<T>())
            }
            Input::Slab(_, slot) | Input::Operand(Operand::Slot(slot)) => {
                flat(self.register(slot), T::LANES)
            }
            Input::Operand(Operand::Array(array)) => {
                flat(self.sources.array(array, self.tile).as_ptr(), T::LANES)
            }
            Input::Operand(Operand::Scalar(scalar)) => {
                (Kind::One, T::of(self.sources.scalars[scalar]), none, 0)
            }
        };
        BoundInput { kind, one, start, advance }
    }

    #[inline(always)]
    fn link(&mut self, number: usize, link: &Link) -> BoundLink<T> {
        let none = std::ptr::null_mut();
        let kept = link.kept || (link.cotangent.is_some() && !self.direct);
        BoundLink {
            op: link.op,
            aside: link.aside,
            a: self.input(link.a),
            b: self.input(link.b),
            kept: if kept { self.register(link.out) } else { none },
            saved: if link.saved { self.saved(number) } else { none },
            slab: match link.cotangent {
                Some(part) if self.direct => self.slab(part),
                _ => none,
            },
        }
    }
}

/// Finds the numbers of all links on a tile. Every result has room for `tile.len` numbers and the rest of
/// a vector, every operand that is not tight too.
#[inline(always)]
fn bind<'p, T: Real>(
    chain: &[Link],
    mut binder: Binder<T>,
    room: &'p mut [MaybeUninit<BoundLink<T>>; LINKS],
) -> &'p mut [BoundLink<T>] {
    let mut count = 0;
    for (place, link) in room.iter_mut().zip(chain) {
        place.write(binder.link(count, link));
        count += 1;
    }
    // SAFETY: the first `count` have just been written, and a `MaybeUninit` has the layout of what it holds.
    unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), count) }
}

/// Gives tight operands that end amid a vector, at `from`, a whole one.
fn end<T: Real>(
    chain: &[Link],
    sources: &Sources<T>,
    tile: Tile,
    from: usize,
    ends: &mut [[T::Lanes; 2]],
    bound: &mut [BoundLink<T>],
) {
    for ((link, ends), bound) in chain.iter().zip(ends).zip(bound) {
        let operands = [(link.a, &mut bound.a), (link.b, &mut bound.b)];
        for ((input, bound), end) in operands.into_iter().zip(ends) {
            if let Input::Operand(Operand::Array(array)) = input {
                let last = &sources.array(array, tile)[from..];
                end.as_mut()[..last.len()].copy_from_slice(last);
                (bound.start, bound.advance) = (end.as_ref().as_ptr(), 0);
            }
        }
    }
}

/// All links on the `N` vectors from line `from` on.
///
/// # Safety
/// The links are bound to a tile that has these vectors, with nothing else in use of what they are bound to,
/// and the machine is there.
#[inline(always)]
unsafe fn block<T: Real, M: Machine, const N: usize>(links: &[BoundLink<T>], from: usize) {
    let lanes = T::Vector::<M>::LANES;
    let mut last = [T::Vector::<M>::splat(T::zero()); N];
    let mut aside = last;
    for link in links {
        let (a, b) = (&link.a, &link.b);
        // Vector `i` of an operand.
        macro_rules! get {
            (Last, $operand:ident, $start:ident, $i:ident) => {
                last[$i]
            };
            (Aside, $operand:ident, $start:ident, $i:ident) => {
                aside[$i]
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
                    let row = $start.add(in_slab::<T, M>($i));
                    match lanes <= GROUP {
                        true => T::Vector::<M>::read(row),
                        false => T::Vector::<M>::read_halves(row, row.add(2 * T::LANES)),
                    }
                }
            };
        }
        macro_rules! each {
            ($a:ident, $b:ident, |$x:ident, $y:ident| $value:expr) => {{
                let start_a = a.start.wrapping_add(from * a.advance);
                let start_b = b.start.wrapping_add(from * b.advance);
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
                    Kind::Aside => each!(Aside, Aside, |$x, _y| $value),
                    Kind::One => each!(One, One, |$x, _y| $value),
                    Kind::Flat => each!(Flat, Flat, |$x, _y| $value),
                    Kind::Slab => each!(Slab, Slab, |$x, _y| $value),
                }
            };
        }
        macro_rules! with {
            ($a:ident, |$x:ident, $y:ident| $value:expr) => {
                match b.kind {
                    Kind::Last => each!($a, Last, |$x, $y| $value),
                    Kind::Aside => each!($a, Aside, |$x, $y| $value),
                    Kind::One => each!($a, One, |$x, $y| $value),
                    Kind::Flat => each!($a, Flat, |$x, $y| $value),
                    Kind::Slab => each!($a, Slab, |$x, $y| $value),
                }
            };
        }
        macro_rules! binary {
            (|$x:ident, $y:ident| $value:expr) => {
                match a.kind {
                    Kind::Last => with!(Last, |$x, $y| $value),
                    Kind::Aside => with!(Aside, |$x, $y| $value),
                    Kind::One => with!(One, |$x, $y| $value),
                    Kind::Flat => with!(Flat, |$x, $y| $value),
                    Kind::Slab => with!(Slab, |$x, $y| $value),
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
        if link.aside {
            aside = last;
        }
        // SAFETY, of all: by the caller's promise there is room where `bind` found it.
        macro_rules! write {
            (|$value:ident, $i:ident| $write:expr) => {
                for ($i, $value) in last.iter().enumerate() {
                    unsafe { $write }
                }
            };
        }
        if !link.kept.is_null() {
            let start = link.kept.wrapping_add(from * T::LANES);
            write!(|value, i| value.write(start.wrapping_add(i * lanes)));
        }
        if !link.saved.is_null() {
            write!(|value, i| value.write(link.saved.wrapping_add(i * lanes)));
        }
        if !link.slab.is_null() {
            let start = link.slab.wrapping_add(from * stride::<T>());
            let row = |i: usize| start.wrapping_add(in_slab::<T, M>(i));
            match lanes <= GROUP {
                true => write!(|value, i| value.write(row(i))),
                // `row` and the next one are in the slab.
                false => {
                    write!(|value, i| value.write_halves(row(i), row(i).wrapping_add(2 * T::LANES)))
                }
            }
        }
    }
}
