//! The device layer: `cargo bench --bench device`. Fourier transforms beside rustfft, operations on
//! tiles (each with the sum of what comes out) beside the standard library's functions, Zernike sums,
//! reductions. One thread, so that the ratios are of the code.

mod stopwatch;

use ndarray::Array2;
use num_complex::Complex64;
use oof::device::basis::Run;
use oof::device::fourier::Axis;
use oof::device::program::{Array, Code, Operand, Program, Region, Step, Stream, Sum, Summand};
use oof::device::{Backend, Basis, Fourier, Op, Precision};
use rustfft::FftPlanner;
use std::sync::Arc;
use stopwatch::{against, line, median};

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    pool.expect("a pool of one thread").install(|| {
        fourier();
        operations();
        sums();
        zernikes();
    });
}

/// The median time of a run of a program without parameters.
fn time(program: Program, precision: Precision) -> f64 {
    let mut outputs = vec![0.0; program.outputs.len()];
    let mut run = Backend::Cpu.load(program, precision).expect("the CPU takes every program");
    median(|| run.run(&[], &mut outputs))
}

/// A disc that covers as much of the grid as the paper's dish does.
fn disc(points: usize) -> Vec<(u32, u32)> {
    let middle = 0.5 * (points as f64 - 1.0);
    let inside = |&(row, column): &(u32, u32)| {
        (f64::from(row) - middle).hypot(f64::from(column) - middle) < 0.125 * points as f64
    };
    let n = points as u32;
    (0..n).flat_map(|row| (0..n).map(move |column| (row, column))).filter(inside).collect()
}

/// Transform of the disc, power, sum; and back with a cotangent where `adjoint`.
fn streamed(transform: Fourier, adjoint: bool) -> Program {
    let (inputs, outputs) = (transform.pixels().len(), transform.outputs());
    let transform = Arc::new(transform);
    let stream = |field| Stream { transform: transform.clone(), field };
    let (re, im) = (Operand::Slot(0), Operand::Slot(1));
    let fill = Region {
        len: inputs,
        slots: 1,
        code: vec![Code::Map {
            op: Op::Copy,
            a: Operand::Scalar(0),
            b: Operand::Scalar(0),
            out: 0,
        }],
        field_stores: vec![(re, re, 0)],
        ..Region::default()
    };
    let sky = Region {
        len: outputs,
        forward: vec![stream(0)],
        adjoint: if adjoint { vec![stream(1)] } else { Vec::new() },
        slots: 3,
        code: vec![
            Code::LoadStream { stream: 0, re: 0, im: 1 },
            Code::Map { op: Op::Norm2, a: re, b: im, out: 2 },
        ],
        sums: vec![Sum { source: Operand::Slot(2), summand: Summand::Itself, scalar: 1 }],
        cotangents: if adjoint { vec![(re, im)] } else { Vec::new() },
        ..Region::default()
    };
    Program {
        scalars: vec![1.0, 0.0],
        fields: vec![inputs, inputs],
        steps: vec![Step::Region(fill), Step::Region(sky)],
        outputs: vec![1],
        ..Program::default()
    }
}

fn fourier() {
    for points in [64, 256, 1024] {
        let fft = || Axis::Fft { points };
        let transform = || Fourier::new(fft(), fft(), disc(points));
        for precision in [Precision::F64, Precision::F32] {
            let name = precision.name();
            let ours = time(streamed(transform(), false), precision);
            let what = format!("far field and its sum, {points}, {name}");
            match precision {
                Precision::F64 => against(&what, ours, "rustfft", rustfft_2d(points)),
                Precision::F32 => line(&what, ours, ""),
            }
            let both = time(streamed(transform(), true), precision);
            line(&format!("the same and back, {points}, {name}"), both, "");
        }
    }
    // Any frequencies: two products of matrices.
    let (points, frequencies) = (64, 100);
    let kernel = |a: usize, x: usize| Complex64::cis(0.01 * a as f64 * x as f64);
    let axis = || Axis::Matrix(Array2::from_shape_fn((frequencies, points), |(a, x)| kernel(a, x)));
    let transform = Fourier::new(axis(), axis(), disc(points));
    let ours = time(streamed(transform, false), Precision::F64);
    line("far field at 100 x 100 points of the sky", ours, "");
}

/// Rows and columns of the whole grid by rustfft, not transposed between.
fn rustfft_2d(points: usize) -> f64 {
    let fft = FftPlanner::<f64>::new().plan_fft_forward(points);
    let mut grid = vec![rustfft::num_complex::Complex::new(1.0, 0.0); points * points];
    let mut scratch = vec![rustfft::num_complex::Complex::default(); fft.get_inplace_scratch_len()];
    median(|| {
        for _ in 0..2 {
            grid.iter_mut().for_each(|v| *v = rustfft::num_complex::Complex::new(1.0, 0.0));
            fft.process_with_scratch(&mut grid, &mut scratch);
        }
    })
}

const LEN: usize = 1 << 16;

/// One operation over an array, and the sum of what comes out.
fn operation(op: Op) -> Program {
    let values: Vec<f64> = (0..LEN).map(|i| 0.1 + i as f64 / LEN as f64).collect();
    let array = Operand::Array(0);
    let region = Region {
        len: LEN,
        slots: 1,
        code: vec![Code::Map { op, a: array, b: array, out: 0 }],
        sums: vec![Sum { source: Operand::Slot(0), summand: Summand::Itself, scalar: 0 }],
        ..Region::default()
    };
    Program {
        scalars: vec![0.0],
        arrays: vec![Array::Data(values.into())],
        steps: vec![Step::Region(region)],
        outputs: vec![0],
        ..Program::default()
    }
}

/// What the standard library has for it, where that is more than an instruction.
fn library(op: Op) -> Option<fn(f64) -> f64> {
    Some(match op {
        Op::Exp => f64::exp,
        Op::Ln => f64::ln,
        Op::Ln1p => f64::ln_1p,
        Op::Sin => f64::sin,
        Op::Cos => f64::cos,
        _ => return None,
    })
}

fn operations() {
    let values: Vec<f64> = (0..LEN).map(|i| 0.1 + i as f64 / LEN as f64).collect();
    let mut out = values.clone();
    let each = |seconds: f64| 1e9 * seconds / LEN as f64;
    for op in Op::ALL {
        let ours = each(time(operation(op), Precision::F64));
        let single = each(time(operation(op), Precision::F32));
        let beside = library(op).map(|function| {
            let theirs = each(median(|| {
                out.iter_mut().zip(&values).for_each(|(o, &v)| *o = function(v));
                std::hint::black_box(&out);
            }));
            format!(", standard library {theirs:.3}, {:.2} times ours", theirs / ours)
        });
        let beside = beside.unwrap_or_default();
        println!("{:<10} {ours:.3} ns a number, f32 {single:.3}{beside}", op.name());
    }
}

fn sums() {
    for (name, summand) in [("x", Summand::Itself), ("ln(1 + x)", Summand::Ln1p)] {
        let mut program = operation(Op::Copy);
        let Step::Region(region) = &mut program.steps[0] else { unreachable!("it has a region") };
        region.code.clear();
        region.sums[0] = Sum { source: Operand::Array(0), summand, scalar: 0 };
        let what = format!("sum of {name} over {LEN}");
        line(&what, time(program, Precision::F64), "");
    }
}

/// Coefficients spread over points, and back.
fn zernikes() {
    let (count, degree, side) = (36, 7, 128);
    let points = side * side;
    let runs = (0..side).map(|row| Run { start: row * side, len: side }).collect();
    let columns: Vec<f64> = (0..points).map(|i| (i % side) as f64).collect();
    let basis = Basis::polynomial_runs(count, degree, runs, &columns, |row, x| {
        Array2::from_shape_fn((count, x.len()), |(j, i)| (0.01 * (row + j) as f64 * x[i]).sin())
    });
    let basis = Arc::new(basis);
    let region = Region {
        len: points,
        slots: 1,
        code: vec![Code::Combine { basis, coefficients: (0..count).collect(), out: 0 }],
        sums: vec![Sum { source: Operand::Slot(0), summand: Summand::Itself, scalar: count }],
        ..Region::default()
    };
    let program = Program {
        scalars: vec![0.1; count + 1],
        steps: vec![Step::Region(region)],
        outputs: vec![count],
        ..Program::default()
    };
    line("36 functions at 128 rows of 128 points", time(program, Precision::F64), "");
}
