//! Chains of element-wise operations.
//!
//! What bounds an interpreter that takes one instruction after the other over a whole tile is the results
//! that it writes and reads again. So instructions that follow each other are links of a chain, which takes
//! a few vectors at a time through all of them: a result stays in the processor's registers for the next link
//! and is written only where somebody else reads it. There are three such places: a tile register, where an
//! instruction outside the chain reads it (it is *kept*); a scratch row, where a link reads it that is not the
//! next (*saved*); and the slab, where it is a *cotangent*.
//!
//! A slab (see [`super::fourier`]) is read where it lies, and a cotangent written over the number that it
//! belongs to, where a region's chains can work so *directly*: every number of a slab is read by links only,
//! before its cotangent takes its place, and every part of a cotangent is made by a link. Otherwise both go
//! through tile registers. In slabs the real and the imaginary part are exchanged (see [`super::fft`]).

use super::Real;
use super::isa::{Machine, vectorised};
use super::register::Register;
use super::tile::{Sources, Tile};
use super::vector::{Batch, Vector, prefetch};
use crate::device::Op;
use crate::device::fourier::GROUP;
use crate::device::program::{ArrayId, Code, Operand, Region};
use std::ops::Range;

/// An instruction as the interpreter runs it.
#[derive(Debug, Clone)]
pub enum Instruction {
    /// What takes long by itself, over a tile.
    Single(Code),
    Chain(Vec<Link>),
}

/// One operation of a chain.
#[derive(Debug, Clone)]
pub struct Link {
    op: Op,
    a: Input,
    b: Input,
    /// The tile register of the result, and whether somebody reads it there.
    out: usize,
    kept: bool,
    /// Whether a later link reads it, other than the next.
    saved: bool,
    /// The cotangent that the result is a part of.
    cotangent: Option<Part>,
}

/// A part of a stream's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    stream: usize,
    imaginary: bool,
}

/// What a link reads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Input {
    /// The result of the link before.
    Last,
    /// That of an earlier link.
    Saved(usize),
    Operand(Operand),
    /// A number of a slab, which a copy in a tile register stands for where slabs are not read directly.
    Slab(Part, usize),
}

/// The code of a region.
#[derive(Debug, Clone)]
pub struct Chains {
    pub instructions: Vec<Instruction>,
    /// Whether slabs can be read and written directly, where tiles are as wide as they are.
    pub direct: bool,
}

/// The most links of a chain.
const LINKS: usize = 16;

/// The most vectors that a chain takes at a time.
const VECTORS: usize = 8;

/// Whether an instruction can be a link.
fn links(code: &Code) -> bool {
    use Op::{Add, Copy, Div, Mul, Neg, Norm2, Square, Sub};
    let can = |op: &Op| matches!(op, Copy | Neg | Square | Add | Sub | Mul | Div | Norm2);
    matches!(code, Code::Map { op, .. } if can(op))
}

/// Whether an instruction reads a register.
fn reads(code: &Code, slot: usize) -> bool {
    let is = |operand: &Operand| *operand == Operand::Slot(slot);
    matches!(code, Code::Map { op, a, b, .. } if is(a) || op.arity() == 2 && is(b))
}

/// Whether an instruction writes to a register.
fn writes(code: &Code, slot: usize) -> bool {
    match code {
        Code::Map { out, .. } | Code::Combine { out, .. } => *out == slot,
        Code::LoadField { re, im, .. } | Code::LoadStream { re, im, .. } => {
            *re == slot || *im == slot
        }
    }
}

impl Chains {
    /// Links the instructions of a region that can be.
    pub fn new(region: &Region) -> Self {
        let mut chains = Chains { instructions: Vec::new(), direct: true };
        let mut from = 0;
        while from < region.code.len() {
            let can = region.code[from..].iter().take(LINKS).take_while(|code| links(code)).count();
            let instruction = match can {
                0 => Instruction::Single(region.code[from].clone()),
                _ => chains.link(region, from..from + can),
            };
            chains.instructions.push(instruction);
            from += can.max(1);
        }
        let is_copy = |operand: Operand| part_at(region, region.code.len(), operand).is_some();
        chains.direct &= !region.results().any(is_copy);
        for code in region.code.iter().filter(|code| !links(code)) {
            let Code::Map { a, b, .. } = code else { continue };
            let at =
                |operand| (0..region.code.len()).any(|i| part_at(region, i, operand).is_some());
            chains.direct &= !(at(*a) || at(*b));
        }
        for (stream, &(re, im)) in region.cotangents.iter().enumerate() {
            chains.make(region, re, Part { stream, imaginary: false });
            chains.make(region, im, Part { stream, imaginary: true });
        }
        chains.direct &= !chains.reads_late();
        chains
    }

    /// Whether a link reads a number whose cotangent has taken its place.
    fn reads_late(&self) -> bool {
        let chains = self.instructions.iter().filter_map(|instruction| match instruction {
            Instruction::Chain(chain) => Some(chain),
            Instruction::Single(_) => None,
        });
        let mut gone: Vec<Part> = Vec::new();
        for link in chains.flatten() {
            let late = |input: Input| matches!(input, Input::Slab(part, _) if gone.contains(&part));
            if late(link.a) || late(link.b) {
                return true;
            }
            gone.extend(link.cotangent);
        }
        false
    }

    /// The links of a range of instructions.
    fn link(&self, region: &Region, range: Range<usize>) -> Instruction {
        let mut chain: Vec<Link> = Vec::new();
        for i in range.clone() {
            let Code::Map { op, a, b, out } = &region.code[i] else {
                unreachable!("links are maps")
            };
            let mut input = |operand: Operand| {
                let Operand::Slot(slot) = operand else { return Input::Operand(operand) };
                let found = (range.start..i).rev().find(|&k| writes(&region.code[k], slot));
                match found.map(|k| k - range.start) {
                    Some(k) if k + 1 == chain.len() => Input::Last,
                    Some(k) => {
                        chain[k].saved = true;
                        Input::Saved(k)
                    }
                    None => part_at(region, i, operand)
                        .map_or(Input::Operand(operand), |part| Input::Slab(part, slot)),
                }
            };
            let a = input(*a);
            let b = if op.arity() == 2 { input(*b) } else { a };
            let kept = is_read(region, i + 1, range.end, *out);
            chain.push(Link { op: *op, a, b, out: *out, kept, saved: false, cotangent: None });
        }
        Instruction::Chain(chain)
    }

    /// Has a part of a cotangent made by the link that makes `operand`.
    fn make(&mut self, region: &Region, operand: Operand, part: Part) {
        let Operand::Slot(slot) = operand else {
            self.direct = false;
            return;
        };
        // The number of the last instruction that writes it, and where that is.
        let mut last = region.code.iter().rposition(|code| writes(code, slot));
        for instruction in &mut self.instructions {
            let len = if let Instruction::Chain(chain) = &instruction { chain.len() } else { 1 };
            match (last, instruction) {
                (Some(i), Instruction::Chain(chain)) if i < len => {
                    let taken = chain[i].cotangent.replace(part);
                    self.direct &= taken.is_none();
                    return;
                }
                (Some(i), _) if i >= len => last = Some(i - len),
                _ => break,
            }
        }
        self.direct = false;
    }
}

/// The part of a slab that a register holds a copy of before instruction `at`.
fn part_at(region: &Region, at: usize, operand: Operand) -> Option<Part> {
    let Operand::Slot(slot) = operand else { return None };
    match region.code[..at].iter().rfind(|code| writes(code, slot))? {
        Code::LoadStream { stream, re, .. } => {
            Some(Part { stream: *stream, imaginary: *re != slot })
        }
        _ => None,
    }
}

/// Whether what `slot` holds before instruction `from` is read by one from `end` on, or, but as a
/// cotangent, when all have run.
fn is_read(region: &Region, from: usize, end: usize, slot: usize) -> bool {
    for (i, code) in region.code.iter().enumerate().skip(from) {
        if i >= end && reads(code, slot) {
            return true;
        }
        if writes(code, slot) {
            return false;
        }
    }
    region.results_but_cotangents().any(|operand| operand == Operand::Slot(slot))
}

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
    // SAFETY, of all blocks: they are vectors of the tile, which the links are bound to.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Executable;
    use crate::device::cpu::Cpu;
    use crate::device::program::{Array, Program, Step};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SLOTS: usize = 5;

    /// A region of random code over two arrays and three scalars, which stores all its registers.
    fn program(len: usize, rng: &mut ChaCha8Rng) -> Program {
        const OPS: [Op; 10] = [
            Op::Copy,
            Op::Neg,
            Op::Square,
            Op::Add,
            Op::Sub,
            Op::Mul,
            Op::Div,
            Op::Norm2,
            Op::Abs,
            Op::Sin,
        ];
        let operand = |rng: &mut ChaCha8Rng| match rng.random_range(0..10) {
            0 | 1 => Operand::Array(rng.random_range(0..2)),
            2 | 3 => Operand::Scalar(rng.random_range(0..3)),
            _ => Operand::Slot(rng.random_range(0..SLOTS)),
        };
        let first = (0..SLOTS).map(|out| Code::Map {
            op: Op::Copy,
            a: Operand::Array(out % 2),
            b: Operand::Array(0),
            out,
        });
        let mut code: Vec<Code> = first.collect();
        for _ in 0..rng.random_range(1..80) {
            // Now and then something that is no link.
            let some = if rng.random_bool(0.2) { OPS.len() } else { 8 };
            let op = OPS[rng.random_range(0..some)];
            let (a, b) = (operand(rng), operand(rng));
            let out = rng.random_range(0..SLOTS);
            // Planning never writes to a register that the same instruction reads.
            if ![a, b].contains(&Operand::Slot(out)) {
                code.push(Code::Map { op, a, b, out });
            }
        }
        let data = |shift: f64| {
            Array::Data((0..len).map(|i| (shift + i as f64).sin()).collect::<Vec<_>>().into())
        };
        let mut arrays = vec![data(0.3), data(1.1)];
        arrays.extend((0..SLOTS).map(|_| Array::Work(len)));
        let stores = (0..SLOTS).map(|slot| (Operand::Slot(slot), slot + 2)).collect();
        Program {
            scalars: vec![0.7, -1.3, 2.1],
            arrays,
            steps: vec![Step::Region(Region {
                len,
                code,
                slots: SLOTS,
                stores,
                ..Region::default()
            })],
            array_outputs: (2..2 + SLOTS).collect(),
            ..Program::default()
        }
    }

    /// One instruction after the other, for one element.
    fn oracle(program: &Program, i: usize) -> [f64; SLOTS] {
        let Step::Region(region) = &program.steps[0] else { panic!("a region") };
        let mut slots = [0.0; SLOTS];
        for code in &region.code {
            let Code::Map { op, a, b, out } = code else { panic!("a map") };
            let value = |operand: &Operand| match *operand {
                Operand::Slot(slot) => slots[slot],
                Operand::Scalar(scalar) => program.scalars[scalar],
                Operand::Array(array) => match &program.arrays[array] {
                    Array::Data(values) => values.wide()[i],
                    Array::Work(_) => panic!("not read"),
                },
            };
            slots[*out] = op.apply(value(a), value(b));
        }
        slots
    }

    #[test]
    fn chains_give_what_their_instructions_give_one_by_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut linked = 0;
        for len in [1, 7, 8, 9, 63, 64, 65, 130, 511, 512, 700] {
            for _ in 0..40 {
                let program = program(len, &mut rng);
                let Step::Region(region) = &program.steps[0] else { panic!("a region") };
                for instruction in &Chains::new(region).instructions {
                    if let Instruction::Chain(chain) = instruction {
                        linked = linked.max(chain.len());
                    }
                }
                let mut cpu = Cpu::<f64>::new(program.clone());
                cpu.run(&[], &mut []);
                let got: Vec<Vec<f64>> = (0..SLOTS).map(|slot| cpu.array(slot)).collect();
                for i in 0..len {
                    for (slot, expected) in oracle(&program, i).into_iter().enumerate() {
                        let got = got[slot][i];
                        // Squares of squares soon overflow, and sines of large numbers lose all digits.
                        if expected.abs() > 1e6 || !expected.is_finite() {
                            continue;
                        }
                        let close = (got - expected).abs() <= 1e-6 * expected.abs().max(1.0);
                        assert!(close, "{len} {i} {slot}: {got} {expected} {region:?}");
                    }
                }
            }
        }
        // Some were cut because they were too long.
        assert_eq!(linked, LINKS);
    }

    /// The code of a fit's region: power, residual, Cauchy's likelihood and the cotangent.
    #[test]
    fn what_only_a_chain_reads_is_not_kept() {
        let map = |op, a, b, out| Code::Map { op, a, b, out };
        let (slot, scalar) = (Operand::Slot, Operand::Scalar(0));
        let region = Region {
            code: vec![
                Code::LoadStream { stream: 0, re: 0, im: 1 },
                map(Op::Norm2, slot(0), slot(1), 2),
                map(Op::Sub, slot(2), Operand::Array(0), 2),
                map(Op::Square, slot(2), slot(2), 3),
                map(Op::Div, slot(2), slot(3), 2),
                map(Op::Mul, slot(0), slot(2), 4),
                map(Op::Mul, slot(1), slot(2), 0),
                map(Op::Mul, slot(3), scalar, 3),
            ],
            slots: 5,
            stores: vec![(slot(3), 1)],
            cotangents: vec![(slot(4), slot(0))],
            ..Region::default()
        };
        let chains = Chains::new(&region);
        assert!(chains.direct);
        let Instruction::Chain(chain) = &chains.instructions[1] else { panic!("a chain") };
        let kept: Vec<bool> = chain.iter().map(|link| link.kept).collect();
        let saved: Vec<bool> = chain.iter().map(|link| link.saved).collect();
        assert_eq!(kept, [false, false, false, false, false, false, true]);
        assert_eq!(saved, [false, true, true, true, false, false, false]);
        assert_eq!(chain[2].a, Input::Last);
        assert_eq!((chain[3].a, chain[3].b), (Input::Saved(1), Input::Last));
        assert_eq!(chain[4].a, Input::Slab(Part { stream: 0, imaginary: false }, 0));
        assert_eq!(chain[4].cotangent, Some(Part { stream: 0, imaginary: false }));
        assert_eq!(chain[5].cotangent, Some(Part { stream: 0, imaginary: true }));

        // What something else than a chain does with a slab takes a copy of it.
        let mut other = region.clone();
        other.code.insert(1, map(Op::Sin, slot(0), slot(0), 3));
        assert!(!Chains::new(&other).direct);
        let mut other = region.clone();
        other.stores.push((slot(1), 2));
        assert!(!Chains::new(&other).direct);
        let mut other = region.clone();
        other.cotangents = vec![(slot(4), slot(4))];
        assert!(!Chains::new(&other).direct);
        // The cotangent of the imaginary part would take its place before it is read.
        let mut other = region;
        other.cotangents = vec![(slot(0), slot(4))];
        assert!(!Chains::new(&other).direct);
    }
}
