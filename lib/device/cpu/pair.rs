//! Two element-wise operations in one pass over a tile.
//!
//! What bounds the interpreter is the results that it writes between two instructions; where one
//! instruction alone reads the other's result, both are done at once.

use super::Real;
use super::elementwise::{Argument, binary, unary};
use super::isa::{Machine, vectorised};
use crate::device::Op;
use crate::device::program::{Code, Operand, Region};

/// A pair of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// `(a - b) c`
    SubMul,
    /// `(a + b) c`
    AddMul,
    /// `a b c`
    MulMul,
    /// `a b + c`
    MulAdd,
    /// `a b - c`
    MulSub,
    /// `c - a b`
    MulRsub,
    /// `c / (a + b)`
    AddRdiv,
}

impl Pair {
    /// The pair of `first` and `then`, whose other operand is its left one where `left`.
    pub fn of(first: Op, then: Op, left: bool) -> Option<Pair> {
        Some(match (first, then, left) {
            (Op::Sub, Op::Mul, _) => Pair::SubMul,
            (Op::Add, Op::Mul, _) => Pair::AddMul,
            (Op::Mul, Op::Mul, _) => Pair::MulMul,
            (Op::Mul, Op::Add, _) => Pair::MulAdd,
            (Op::Mul, Op::Sub, false) => Pair::MulSub,
            (Op::Mul, Op::Sub, true) => Pair::MulRsub,
            (Op::Add, Op::Div, true) => Pair::AddRdiv,
            _ => return None,
        })
    }
}

/// An instruction as the interpreter runs it.
#[derive(Debug, Clone)]
pub enum Instruction {
    Single(Code),
    /// `slot[out] = pair(a, b, c)`
    Pair {
        pair: Pair,
        a: Operand,
        b: Operand,
        c: Operand,
        out: usize,
    },
}

/// The code of a region, neighbours paired where that changes nothing else.
pub fn paired(region: &Region) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    let mut i = 0;
    while i < region.code.len() {
        match pair_at(region, i) {
            Some(pair) => {
                instructions.push(pair);
                i += 2;
            }
            None => {
                instructions.push(Instruction::Single(region.code[i].clone()));
                i += 1;
            }
        }
    }
    instructions
}

/// Instructions `i` and `i + 1` as one, where they are a pair and nobody else reads what `i` leaves.
fn pair_at(region: &Region, i: usize) -> Option<Instruction> {
    let (Code::Map { op: first, a, b, out: between }, Code::Map { op: then, a: x, b: y, out }) =
        (region.code.get(i)?, region.code.get(i + 1)?)
    else {
        return None;
    };
    let is_first = |operand: &Operand| *operand == Operand::Slot(*between);
    let (c, left) = match (is_first(x), is_first(y)) {
        (true, false) => (*y, false),
        (false, true) => (*x, true),
        _ => return None,
    };
    let pair = Pair::of(*first, *then, left)?;
    let dead = *between == *out || !lives(region, i + 2, *between);
    dead.then_some(Instruction::Pair { pair, a: *a, b: *b, c, out: *out })
}

/// Whether what `slot` holds before instruction `from` is read by it, by a later one, or at the end.
fn lives(region: &Region, from: usize, slot: usize) -> bool {
    for code in &region.code[from..] {
        let (reads, writes) = match code {
            Code::Map { op, a, b, out } => {
                let is = |operand: &Operand| *operand == Operand::Slot(slot);
                (is(a) || (op.arity() == 2 && is(b)), *out == slot)
            }
            Code::LoadField { re, im, .. } | Code::LoadStream { re, im, .. } => {
                (false, *re == slot || *im == slot)
            }
            Code::Combine { out, .. } => (false, *out == slot),
        };
        if reads || writes {
            return reads;
        }
    }
    region.results().any(|operand| operand == Operand::Slot(slot))
}

vectorised!(
    /// A pair of operations over a tile.
    pub fn map_pair(
        pair: Pair, a: Argument<T>, b: Argument<T>, c: Argument<T>, out: &mut [T],
    ) = map_pair_inline
);

/// Fills `out` with an expression in three operands, each one number or many.
macro_rules! ternary {
    ($a:expr, $b:expr, $c:expr, $out:expr, |$x:ident, $y:ident, $z:ident| $value:expr) => {{
        let len = $out.len();
        match ($a, $b, $c) {
            (Argument::Many(a), Argument::Many(b), Argument::Many(c)) => {
                let (a, b, c) = (&a[..len], &b[..len], &c[..len]);
                for i in 0..len {
                    let ($x, $y, $z) = (a[i], b[i], c[i]);
                    $out[i] = $value;
                }
            }
            (Argument::One($x), b, c) => binary!(b, c, $out, |$y, $z| $value),
            (a, Argument::One($y), c) => binary!(a, c, $out, |$x, $z| $value),
            (a, b, Argument::One($z)) => binary!(a, b, $out, |$x, $y| $value),
        }
    }};
}

#[inline(always)]
fn map_pair_inline<T: Real, M: Machine>(
    pair: Pair,
    a: Argument<T>,
    b: Argument<T>,
    c: Argument<T>,
    out: &mut [T],
) {
    match pair {
        Pair::SubMul => ternary!(a, b, c, out, |a, b, c| (a - b) * c),
        Pair::AddMul => ternary!(a, b, c, out, |a, b, c| (a + b) * c),
        Pair::MulMul => ternary!(a, b, c, out, |a, b, c| a * b * c),
        Pair::MulAdd => ternary!(a, b, c, out, |a, b, c| M::mul_add(a, b, c)),
        Pair::MulSub => ternary!(a, b, c, out, |a, b, c| M::mul_add(a, b, -c)),
        Pair::MulRsub => ternary!(a, b, c, out, |a, b, c| M::mul_add(-a, b, c)),
        Pair::AddRdiv => ternary!(a, b, c, out, |a, b, c| c / (a + b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_its_two_operations() {
        fn check<T: Real>(len: usize) {
            let values = |seed: f64| -> Vec<T> {
                (0..len).map(|i| T::of(1.3 + (seed * i as f64).sin())).collect()
            };
            let held = [values(0.7), values(1.1), values(1.9)];
            let all = [Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Norm2];
            let mut found = 0;
            for (first, then) in all.iter().flat_map(|&f| all.iter().map(move |&t| (f, t))) {
                for (left, kinds) in (0..16).map(|bits| (bits & 8 > 0, bits & 7)) {
                    let Some(pair) = Pair::of(first, then, left) else { continue };
                    found += 1;
                    let arguments: [Argument<T>; 3] =
                        std::array::from_fn(|k| match kinds >> k & 1 {
                            0 => Argument::One(held[k][0]),
                            _ => Argument::Many(&held[k]),
                        });
                    let [a, b, c] = arguments;
                    let mut out = vec![T::zero(); len];
                    map_pair(pair, a, b, c, &mut out);
                    for (i, out) in out.iter().enumerate() {
                        let between = first.apply(a.at(i).wide(), b.at(i).wide());
                        let c = c.at(i).wide();
                        let expected =
                            if left { then.apply(c, between) } else { then.apply(between, c) };
                        let size = between.abs().max(c.abs()).max(expected.abs()).max(1.0);
                        let error = (out.wide() - expected).abs();
                        assert!(
                            error <= 4.0 * T::epsilon().wide() * size * size,
                            "{pair:?} {kinds}"
                        );
                    }
                }
            }
            assert_eq!(found, 8 * (2 + 2 + 2 + 2 + 1 + 1 + 1));
        }
        for len in [1, 7, 512] {
            check::<f64>(len);
            check::<f32>(len);
        }
    }

    #[test]
    fn neighbours_pair_only_where_nobody_else_reads_the_first() {
        let map = |op, a, b, out| Code::Map { op, a: Operand::Slot(a), b: Operand::Slot(b), out };
        let region = |last_reads: usize| Region {
            code: vec![
                map(Op::Sub, 0, 1, 2),
                map(Op::Mul, 2, 0, 3),
                map(Op::Square, last_reads, last_reads, 4),
            ],
            ..Region::default()
        };
        assert_eq!(paired(&region(3)).len(), 2);
        assert_eq!(paired(&region(2)).len(), 3);
        let mut kept = region(3);
        kept.stores.push((Operand::Slot(2), 0));
        assert_eq!(paired(&kept).len(), 3);
    }
}
