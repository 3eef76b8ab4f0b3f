//! Chains of element-wise operations.
//!
//! What bounds an interpreter that takes one instruction after the other over a whole tile is the results
//! that it writes and reads again. So instructions that follow each other are links of a chain, which takes
//! a few vectors at a time through all of them: a result stays in the processor's registers for the next link
//! and is written only where somebody else reads it. There are three such places: a tile register, where an
//! instruction outside the chain reads it (it is *kept*); a scratch row, where a link reads it that is not the
//! next (*saved*); and the slab, where it is a *cotangent*. One result for later links at a time skips the
//! scratch row and waits in spare processor registers (*aside*).
//!
//! A slab (see [`super::fourier`]) is read where it lies, and a cotangent written over the number that it
//! belongs to, where a region's chains can work so *directly*: every number of a slab is read by links only,
//! before its cotangent takes its place, and every part of a cotangent is made by a link. Otherwise both go
//! through tile registers. In slabs the real and the imaginary part are exchanged (see [`super::fft`]).

mod run;

pub use run::{Own, run, saved};

use crate::device::Op;
use crate::device::program::{Code, Operand, Region};
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
    /// Whether a later link reads it, other than the next, in its place there.
    saved: bool,
    /// Whether a later link reads it in the registers that are put aside.
    aside: bool,
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
    /// The same, in the registers that are put aside.
    Aside,
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

/// The most links of a chain: if all are saved, their results take 8 KiB.
const LINKS: usize = 16;

/// The most lines of 64 bytes that a chain takes at a time: the last result and that put aside fill half of AVX-512's
/// registers.
const LINES: usize = 8;

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
            let (saved, aside) = (false, false);
            chain.push(Link { op: *op, a, b, out: *out, kept, saved, aside, cotangent: None });
        }
        put_aside(&mut chain);
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

/// Has results that later links read put aside in registers, one at a time, instead of saved.
fn put_aside(chain: &mut [Link]) {
    let mut free = 0;
    for i in 0..chain.len() {
        let reads = |link: &Link| [link.a, link.b].contains(&Input::Saved(i));
        let Some(last) = chain.iter().rposition(reads).filter(|_| i >= free) else { continue };
        (chain[i].saved, chain[i].aside, free) = (false, true, last);
        for link in &mut chain[i + 1..=last] {
            for input in [&mut link.a, &mut link.b] {
                if *input == Input::Saved(i) {
                    *input = Input::Aside;
                }
            }
        }
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
                    Array::Data(values) => values.in_f64()[i],
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
        let (mut linked, mut compared, mut all) = (0, 0, 0);
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
                let got: Vec<Vec<f64>> =
                    (0..SLOTS).map(|slot| cpu.array(slot).into_owned()).collect();
                for i in 0..len {
                    for (slot, expected) in oracle(&program, i).into_iter().enumerate() {
                        let got = got[slot][i];
                        all += 1;
                        // Squares of squares soon overflow, and sines of large numbers lose all digits.
                        if expected.abs() > 1e6 || !expected.is_finite() {
                            continue;
                        }
                        compared += 1;
                        let close = (got - expected).abs() <= 1e-6 * expected.abs().max(1.0);
                        assert!(close, "{len} {i} {slot}: {got} {expected} {region:?}");
                    }
                }
            }
        }
        assert!(2 * compared > all, "{compared} of {all}");
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
        // The registers that are put aside hold the residual from the second link to the fourth, and then the
        // fourth's result, to the sixth.
        let aside: Vec<bool> = chain.iter().map(|link| link.aside).collect();
        assert_eq!(saved, [false, false, true, false, false, false, false]);
        assert_eq!(aside, [false, true, false, true, false, false, false]);
        assert_eq!(chain[2].a, Input::Last);
        assert_eq!((chain[3].a, chain[3].b), (Input::Aside, Input::Last));
        assert_eq!((chain[6].a, chain[5].b), (Input::Saved(2), Input::Aside));
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
