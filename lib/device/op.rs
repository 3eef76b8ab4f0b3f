//! The element-wise operations and what each means for one number.

/// An element-wise operation of one or two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The operand itself: a scalar spread over an array.
    Copy,
    Neg,
    Square,
    Sqrt,
    Exp,
    Ln,
    /// `ln(1 + a)`, accurate near zero.
    Ln1p,
    Sin,
    Cos,
    Abs,
    /// -1, 0 or 1.
    Sign,
    Powi(i32),
    Add,
    Sub,
    Mul,
    Div,
    /// `a^2 + b^2`: the power of a complex field.
    Norm2,
}

impl Op {
    /// One of every kind.
    pub const ALL: [Op; 17] = [
        Op::Copy,
        Op::Neg,
        Op::Square,
        Op::Sqrt,
        Op::Exp,
        Op::Ln,
        Op::Ln1p,
        Op::Sin,
        Op::Cos,
        Op::Abs,
        Op::Sign,
        Op::Powi(3),
        Op::Add,
        Op::Sub,
        Op::Mul,
        Op::Div,
        Op::Norm2,
    ];

    /// The number of operands, 1 or 2.
    pub fn arity(self) -> usize {
        match self {
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Norm2 => 2,
            _ => 1,
        }
    }

    /// The operation on plain numbers; `b` is ignored by those of one operand.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Op::Copy => a,
            Op::Neg => -a,
            Op::Square => a * a,
            Op::Sqrt => a.sqrt(),
            Op::Exp => a.exp(),
            Op::Ln => a.ln(),
            Op::Ln1p => a.ln_1p(),
            Op::Sin => a.sin(),
            Op::Cos => a.cos(),
            Op::Abs => a.abs(),
            Op::Sign => sign(a),
            Op::Powi(n) => a.powi(n),
            Op::Add => a + b,
            Op::Sub => a - b,
            Op::Mul => a * b,
            Op::Div => a / b,
            Op::Norm2 => a * a + b * b,
        }
    }

    /// A short name for graphs and listings.
    pub fn name(self) -> String {
        match self {
            Op::Powi(n) => format!("powi {n}"),
            op => format!("{op:?}").to_lowercase(),
        }
    }
}

/// -1, 0 or 1; unlike `f64::signum`, 0 for 0.
fn sign(a: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a.signum() }
}
