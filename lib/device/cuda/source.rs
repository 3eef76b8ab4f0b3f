//! Regions as CUDA C. The text depends on what a region computes, not on how many elements, parameters
//! or rows there are: those are arguments. So the regions of all maps are one kernel, a fit has the same
//! few programs on every level and for every order, and what is compiled once serves them all.

use super::memory::{Memory, Place};
use crate::device::fourier::GROUP;
use crate::device::program::{Code, Operand, Region, ScalarId, Summand};
use crate::device::{Op, Precision};
use std::collections::HashMap;
use std::fmt::Write;

/// Threads of every block, as in `prelude.cu`.
pub const BLOCK: usize = 256;

/// What all kernels are written with, and the kernels that every program uses.
const PRELUDE: &str = include_str!("prelude.cu");
const KERNELS: &str = include_str!("kernels.cu");

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// The address of a buffer.
    At(Place),
    Integer(i32),
}

/// The text of the common kernels, the same for all programs of a precision, and that of the regions,
/// which are named by their number.
pub fn texts(precision: Precision, regions: &[String]) -> [String; 2] {
    let real = type_name(precision);
    let mut cases = String::new();
    for op in Op::ALL {
        let (kind, _) = operation(op);
        let value = match op {
            Op::Powi(_) => "powi(a, c[0] >> 8)".into(),
            op => expression(op, "a", "b", Precision::F64),
        };
        let _ = write!(cases, " case {kind}: out = {value}; break;");
    }
    let prelude = format!("typedef {real} real;\n#define GROUP {GROUP}\n{PRELUDE}\n");
    let common = format!("{prelude}#define OPERATIONS{cases}\n{KERNELS}");
    let named = regions.iter().enumerate();
    let named = named.map(|(number, text)| text.replacen(UNNAMED, &region_name(number), 1));
    [common, prelude + &named.collect::<String>()]
}

/// Stands for the name of a region's kernel until it has one.
const UNNAMED: &str = "REGION";

pub fn region_name(number: usize) -> String {
    format!("region{number}")
}

fn type_name(precision: Precision) -> &'static str {
    match precision {
        Precision::F64 => "double",
        Precision::F32 => "float",
    }
}

/// The number of an operation among all, and its exponent.
pub fn operation(op: Op) -> (usize, i32) {
    let same = |other: &Op| std::mem::discriminant(other) == std::mem::discriminant(&op);
    let kind = Op::ALL.iter().position(same).expect("every operation is in `Op::ALL`");
    (kind, if let Op::Powi(n) = op { n } else { 0 })
}

/// An operation in C.
fn expression(op: Op, a: &str, b: &str, precision: Precision) -> String {
    let suffix = if precision == Precision::F32 { "f" } else { "" };
    let call = |name: &str| format!("{name}{suffix}({a})");
    match op {
        Op::Copy => a.into(),
        Op::Neg => format!("-{a}"),
        Op::Square => format!("{a} * {a}"),
        Op::Sqrt => call("sqrt"),
        Op::Exp => call("exp"),
        Op::Ln => call("log"),
        Op::Ln1p => call("log1p"),
        Op::Sin => call("sin"),
        Op::Cos => call("cos"),
        Op::Abs => call("fabs"),
        Op::Sign => format!("sign({a})"),
        Op::Powi(n) => format!("powi({a}, {n})"),
        Op::Add => format!("{a} + {b}"),
        Op::Sub => format!("{a} - {b}"),
        Op::Mul => format!("{a} * {b}"),
        Op::Div => format!("{a} / {b}"),
        Op::Norm2 => format!("{a} * {a} + {b} * {b}"),
    }
}

/// A sum of a basis's functions as a region reads it: Chebyshev coefficients of every run, the run of every
/// sample, its abscissa.
pub struct Combined {
    pub coefficients: Place,
    pub run_of: Place,
    pub abscissa: Place,
    pub terms: usize,
}

/// Where everything is that a region uses.
pub struct Wiring<'a> {
    pub scalars: Place,
    pub arrays: &'a [Place],
    pub fields: &'a [Place],
    /// The plane of every stream, forward and adjoint of one number in the same.
    pub planes: &'a [Place],
    /// The order of outputs, where elements are in that and not in the order of the plane.
    pub layout: Option<[Argument; 4]>,
    /// In the order of the region's code.
    pub combined: &'a [Combined],
    /// What to keep besides the region's own stores.
    pub kept: &'a [(Operand, Place)],
    /// A row for every sum, a number a block.
    pub partials: Place,
    pub blocks: usize,
    /// Elements a thread.
    pub each: usize,
}

/// A kernel without a name, and the arguments for one region.
pub struct Kernel {
    pub text: String,
    pub arguments: Vec<Argument>,
}

/// Writes the kernel of a region.
pub fn region(region: &Region, wiring: &Wiring, memory: &Memory) -> Kernel {
    let mut writer = Writer {
        wiring,
        precision: memory.precision,
        parameters: Vec::new(),
        arguments: Vec::new(),
        head: String::new(),
        body: String::new(),
        scalars: HashMap::new(),
        pointers: HashMap::new(),
    };
    writer.kernel(region)
}

struct Writer<'a> {
    wiring: &'a Wiring<'a>,
    precision: Precision,
    parameters: Vec<String>,
    arguments: Vec<Argument>,
    /// Before the loop over elements, and inside it.
    head: String,
    body: String,
    scalars: HashMap<ScalarId, String>,
    pointers: HashMap<Place, String>,
}

impl Writer<'_> {
    fn parameter(&mut self, kind: &str, name: &str, argument: Argument) {
        self.parameters.push(format!("{kind}{name}"));
        self.arguments.push(argument);
    }

    fn integer(&mut self, name: &str, value: usize) {
        self.parameter("int ", name, Argument::Integer(value as i32));
    }

    /// The name of a buffer.
    fn pointer(&mut self, kind: &str, place: Place) -> String {
        if let Some(name) = self.pointers.get(&place) {
            return name.clone();
        }
        let name = format!("p{}", self.pointers.len());
        self.parameter(kind, &name, Argument::At(place));
        self.pointers.insert(place, name.clone());
        name
    }

    fn operand(&mut self, operand: Operand) -> String {
        match operand {
            Operand::Slot(slot) => format!("r{slot}"),
            Operand::Array(array) => {
                let place = self.wiring.arrays[array];
                format!("{}[i]", self.pointer("const real *__restrict__ ", place))
            }
            Operand::Scalar(scalar) => {
                if let Some(name) = self.scalars.get(&scalar) {
                    return name.clone();
                }
                let name = format!("v{}", self.scalars.len());
                self.integer(&format!("at_{name}"), scalar);
                let _ = writeln!(self.head, "        const real {name} = real(s[at_{name}]);");
                self.scalars.insert(scalar, name.clone());
                name
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        let _ = writeln!(self.body, "            {line}");
    }

    /// Splits a complex number.
    fn load(&mut self, from: &str, re: usize, im: usize) {
        self.line(format_args!("{{ const complex z = {from}; r{re} = z.re; r{im} = z.im; }}"));
    }

    fn kernel(&mut self, region: &Region) -> Kernel {
        let wiring = self.wiring;
        self.parameter("const double *", "s", Argument::At(wiring.scalars));
        for (name, value) in
            [("count", region.len), ("blocks", wiring.blocks), ("each", wiring.each)]
        {
            self.integer(name, value);
        }
        if let Some(layout) = wiring.layout {
            let kinds = ["int nx", "int ny", "const int *fx", "const int *fy"];
            kinds.iter().zip(layout).for_each(|(kind, n)| self.parameter(kind, "", n));
            self.line(format_args!("const int at = in_plane(i, nx, ny, fx, fy);"));
        } else if !wiring.planes.is_empty() {
            self.line(format_args!("const int at = i;"));
        }
        if region.slots > 0 {
            let slots: Vec<String> = (0..region.slots).map(|slot| format!("r{slot}")).collect();
            self.line(format_args!("real {};", slots.join(", ")));
        }
        let mut combined = 0;
        for code in &region.code {
            self.code(code, &mut combined);
        }
        for (number, sum) in region.sums.iter().enumerate() {
            let source = self.operand(sum.source);
            let value = match sum.summand {
                Summand::Itself => format!("double({source})"),
                Summand::Ln1p => format!("log1p(double({source}))"),
            };
            let _ = writeln!(self.head, "        MINE(sum{number}) = 0;");
            self.line(format_args!("MINE(sum{number}) += {value};"));
        }
        let stores = region.stores.iter().map(|&(source, array)| (source, wiring.arrays[array]));
        for (source, place) in stores.chain(wiring.kept.iter().copied()) {
            let source = self.operand(source);
            let out = self.pointer("real *__restrict__ ", place);
            self.line(format_args!("{out}[i] = {source};"));
        }
        for &(re, im, field) in &region.field_stores {
            let (re, im) = (self.operand(re), self.operand(im));
            let out = self.pointer("complex *__restrict__ ", wiring.fields[field]);
            self.line(format_args!("{out}[i] = pair({re}, {im});"));
        }
        // After all that reads the planes, because they may be the same.
        for (stream, &(re, im)) in region.cotangents.iter().enumerate() {
            let (re, im) = (self.operand(re), self.operand(im));
            let out = self.pointer("complex *", wiring.planes[stream]);
            self.line(format_args!("{out}[at] = pair({re}, {im});"));
        }
        self.finish(region.sums.len())
    }

    fn code(&mut self, code: &Code, combined: &mut usize) {
        match code {
            Code::Map { op, a, b, out } => {
                let (a, b) = match op.arity() {
                    1 => (self.operand(*a), String::new()),
                    _ => (self.operand(*a), self.operand(*b)),
                };
                let value = expression(*op, &a, &b, self.precision);
                self.line(format_args!("r{out} = {value};"));
            }
            Code::LoadField { field, re, im } => {
                let place = self.wiring.fields[*field];
                let from = self.pointer("const complex *__restrict__ ", place);
                self.load(&format!("{from}[i]"), *re, *im);
            }
            Code::LoadStream { stream, re, im } => {
                let from = self.pointer("complex *", self.wiring.planes[*stream]);
                self.load(&format!("{from}[at]"), *re, *im);
            }
            Code::Combine { out, .. } => {
                let number = *combined;
                *combined += 1;
                let Combined { coefficients, run_of, abscissa, terms } =
                    self.wiring.combined[number];
                let c = self.pointer("const real *__restrict__ ", coefficients);
                let runs = self.pointer("const int *__restrict__ ", run_of);
                let x = self.pointer("const real *__restrict__ ", abscissa);
                let n = format!("terms{number}");
                self.integer(&n, terms);
                self.line(format_args!("r{out} = clenshaw({c} + {runs}[i] * {n}, {n}, {x}[i]);"));
            }
        }
    }

    /// Puts the parts together.
    fn finish(&mut self, sums: usize) -> Kernel {
        if sums > 0 {
            self.parameter("double *__restrict__ ", "partials", Argument::At(self.wiring.partials));
        }
        let mut text = format!("\nKERNEL {UNNAMED}({}) {{\n", self.parameters.join(", "));
        if sums > 0 {
            text += "    SHARED double pot[BLOCK];\n";
        }
        for number in 0..sums {
            let _ = writeln!(text, "    EACH(double, sum{number});");
        }
        let (head, body) = (&self.head, &self.body);
        let _ = write!(
            text,
            "    THREADS {{\n{head}        const int begin = BLOCK_INDEX * BLOCK * each, over = begin + BLOCK * each;
        const int end = over < count ? over : count;
        for (int i = begin + thread; i < end; i += BLOCK) {{\n{body}        }}\n    }}\n"
        );
        for number in 0..sums {
            let _ = writeln!(
                text,
                "    ADD_UP(pot, sum{number})
    THREADS {{ if (thread == 0) partials[{number} * blocks + BLOCK_INDEX] = pot[0]; }}"
            );
        }
        text += "}\n";
        Kernel { text, arguments: std::mem::take(&mut self.arguments) }
    }
}
