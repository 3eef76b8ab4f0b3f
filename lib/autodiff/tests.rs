//! Every adjoint against central differences, and the whole against plain loops.

use super::transform::Transform;
use super::*;
use crate::device::basis::Run;
use crate::device::cuda::host::{
    compile_to_ptx, devices, has_compiler, has_nvrtc, of_gradients, sources_of,
};
use crate::device::fourier::Axis;
use crate::device::{Basis, Fourier, Precision, Scattered};
use ndarray::Array2;
use num_complex::Complex64;
use proptest::prelude::*;
use std::sync::Arc;

/// Compares the gradient with central differences. A difference of step h is off by about h^2 from
/// the curvature and eps/h from rounding, both times the size of the values: h = eps^(1/3).
fn check_gradient(f: &mut Function, x: &[f64]) {
    let (value, gradient) = f.value_and_gradient(x);
    assert!((f.value(x) - value).abs() <= 1e-13 * value.abs().max(1.0));
    let size = gradient.iter().fold(value.abs().max(1.0), |a, g| a.max(g.abs()));
    for i in 0..x.len() {
        let at = |step: f64| {
            let mut x = x.to_vec();
            x[i] += step;
            f.value(&x)
        };
        let difference = derivative(at);
        let error = (difference - gradient[i]).abs();
        assert!(error < TOLERANCE * size, "{i}: {difference} {}", gradient[i]);
    }
}

/// A central difference, extrapolated to fourth order. Its error is the fifth derivative times about
/// `STEP^4 / 480`, for a function that bends within a length `w` some `(STEP / w)^4`: the sharpest here
/// has `w` near 0.01. Rounding adds `epsilon / STEP` of the value, some 2e-12.
fn derivative(mut f: impl FnMut(f64) -> f64) -> f64 {
    let mut slope = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    (4.0 * slope(0.5 * STEP) - slope(STEP)) / 3.0
}

const STEP: f64 = 1e-4;
const TOLERANCE: f64 = 1e-8;

/// Every element-wise primitive, by name, on positive operands.
type Primitive = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;
const PRIMITIVES: &[Primitive] = &[
    |a, b| a + b,
    |a, b| a - b,
    |a, b| a * b,
    |a, b| a / b,
    |a, _| -a,
    |a, _| a.square(),
    |a, _| a.sqrt(),
    |a, _| a.exp(),
    |a, _| a.ln(),
    |a, _| a.ln_1p(),
    |a, _| a.sin(),
    |a, _| a.cos(),
    |a, b| (a - b - 10.0).abs(),
    |a, _| a.powi(3),
    |a, _| a.powi(-2),
    |a, b| a.hypot(b),
    |a, b| 1.0 / a - 2.0 * b,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_primitive_has_the_adjoint_that_differences_show(
        data in prop::collection::vec(0.5f64..2.0, 1..1200),
        x in 0.5f64..1.5,
        y in 0.5f64..1.5,
    ) {
        for primitive in PRIMITIVES {
            // As scalars, and with either operand an array that depends on both parameters.
            let mut f = Function::new(2, |_, x| primitive(x[0], x[1]) * x[1]);
            check_gradient(&mut f, &[x, y]);
            let n = data.len() as f64;
            let mut f = Function::new(2, |tape, x| {
                let d = tape.data(&data);
                (primitive(x[0] * d, x[1]) + primitive(x[0], d + x[1]) * d).sum() / n
            });
            check_gradient(&mut f, &[x, y]);
        }
    }

    #[test]
    fn a_transform_and_a_basis_have_the_adjoints_that_differences_show(
        x in prop::collection::vec(-1f64..1.0, 5),
        nx in 3usize..12,
        ny in 3usize..12,
        kind in prop::sample::select(vec![Kind::Fft, Kind::Matrix, Kind::Scattered]),
    ) {
        let mut f = beam(nx, ny, kind);
        check_gradient(&mut f, &x);
        // The gradient differentiated again, against differences of the gradient.
        let v = [0.3, -0.2, 0.5, 0.1, -0.4];
        let product = f.hessian_times(&x, &v);
        let shifted = |s: f64| x.iter().zip(&v).map(|(x, v)| x + s * v).collect::<Vec<_>>();
        let size = product.iter().fold(1.0f64, |a, g| a.max(g.abs()));
        for (i, product) in product.iter().enumerate() {
            let difference = derivative(|s| f.value_and_gradient(&shifted(s)).1[i]);
            prop_assert!((difference - product).abs() < TOLERANCE * size, "{difference} {product}");
        }
        // Forward mode, against differences of the arrays.
        let tangent = f.tangents(&x, &[v.to_vec()]);
        let size = tangent[0].iter().fold(1.0f64, |a, g| a.max(g.abs()));
        for (i, tangent) in tangent[0].iter().enumerate() {
            let difference = derivative(|s| f.arrays(&shifted(s))[0][i]);
            prop_assert!((difference - tangent).abs() < TOLERANCE * size);
        }
        // Five directions, which do not fit together: their sum is that in the sum of all.
        let unit = |i: usize| (0..5).map(|j| if i == j { v[i] } else { 0.0 }).collect();
        let each = f.tangents(&x, &(0..5).map(unit).collect::<Vec<Vec<f64>>>());
        for (i, tangent) in tangent[0].iter().enumerate() {
            let sum = each[0].column(i).sum();
            prop_assert!((sum - tangent).abs() < 1e-12 * size, "{sum} {tangent}");
        }
    }
}

/// The forms of the far field.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Fft,
    Matrix,
    Scattered,
}

/// A little beam-map fit: three phase functions over a few pixels, a gain and a background.
fn beam(nx: usize, ny: usize, kind: Kind) -> Function {
    let pixels: Vec<(u32, u32)> = (0..ny as u32)
        .flat_map(|r| (0..nx as u32).map(move |c| (r, c)))
        .filter(|(r, c)| (r + 2 * c) % 4 != 0)
        .collect();
    let axis = |n: usize| match kind {
        Kind::Fft => Axis::Fft { points: n },
        _ => Axis::Matrix(Array2::from_shape_fn((n + 2, n), |(f, p)| {
            Complex64::cis(0.37 * f as f64 * p as f64) * (1.0 + 0.1 * p as f64)
        })),
    };
    let samples: Vec<(f64, f64)> =
        (0..nx * ny).map(|i| (0.5 * (i as f64).sin(), 0.3 * (1.7 * i as f64).cos())).collect();
    let fourier: Transform = match kind {
        Kind::Scattered => {
            (&Arc::new(Scattered::new(pixels.clone(), (0.3, 2.0), &samples, 1e-9))).into()
        }
        _ => (&Arc::new(Fourier::new(axis(nx), axis(ny), pixels.clone()))).into(),
    };
    // Cubics along every row, one of which may have a single pixel.
    let columns: Vec<f64> = pixels.iter().map(|p| p.1.into()).collect();
    let rows = pixels.chunk_by(|a, b| a.0 == b.0).scan(0, |start, row| {
        *start += row.len();
        Some(Run { start: *start - row.len(), len: row.len() })
    });
    let values = |row: usize, columns: &[f64]| {
        Array2::from_shape_fn((3, columns.len()), |(j, i)| {
            (1.0 + j as f64 + 0.7 * columns[i] + 1.3 * row as f64).sin()
        })
    };
    let basis = Arc::new(Basis::polynomial_runs(3, 3, rows.collect(), &columns, values));
    Function::with_arrays(5, |tape, x| {
        let dish = tape.space(pixels.len());
        let sky = tape.space(fourier.outputs());
        let phase = tape.combine(&basis, dish, &x[..3]);
        let field = tape.transform(fourier.clone(), Complex::cis(phase), sky);
        let model = x[3] * field.norm2() + x[4];
        let data: Vec<f64> = (0..fourier.outputs()).map(|i| (i as f64).cos()).collect();
        let residual = (model - tape.data_in(sky, data)) / (3 * pixels.len()) as f64;
        (residual.square().ln_1p().sum(), vec![model])
    })
}

#[test]
fn a_transform_and_its_adjoint_agree_with_the_plain_sum() {
    for (nx, ny, fft) in [(16, 16, true), (31, 20, true), (24, 40, false), (64, 48, true)] {
        let pixels: Vec<(u32, u32)> = (3..ny as u32 - 2)
            .flat_map(|r| (1..nx as u32 - 3).map(move |c| (r, c)))
            .filter(|(r, c)| (r * 7 + c * 5) % 3 != 0)
            .collect();
        let axis = |n: usize| match fft {
            true => Axis::Fft { points: n },
            false => Axis::Matrix(Array2::from_shape_fn((n - 5, n), |(f, p)| {
                Complex64::cis(-0.21 * (f as f64 - 7.0) * p as f64)
            })),
        };
        let fourier = Arc::new(Fourier::new(axis(nx), axis(ny), pixels.clone()));
        let wave = |i: usize, k: f64| (k * i as f64).sin();
        let field: Vec<_> =
            (0..pixels.len()).map(|i| Complex64::new(wave(i, 1.3), wave(i, 0.7))).collect();
        let cotangent: Vec<_> =
            (0..fourier.outputs()).map(|i| Complex64::new(wave(i, 0.9), wave(i, 2.1))).collect();
        // sum of c * S: its value is the forward transform's inner product with c, and its gradient
        // with respect to a scaling of the field is the adjoint's with the field.
        let mut f = Function::with_arrays(1, |tape, x| {
            let dish = tape.space(pixels.len());
            let sky = tape.space(fourier.outputs());
            let part =
                |get: fn(&Complex64) -> f64, z: &[Complex64]| z.iter().map(get).collect::<Vec<_>>();
            let e = Complex {
                re: x[0] * tape.data_in(dish, part(|z| z.re, &field)),
                im: x[0] * tape.data_in(dish, part(|z| z.im, &field)),
            };
            let s = tape.transform(&fourier, e, sky);
            let c = Complex {
                re: tape.data_in(sky, part(|z| z.re, &cotangent)),
                im: tape.data_in(sky, part(|z| z.im, &cotangent)),
            };
            ((s.re * c.re + s.im * c.im).sum(), vec![s.re, s.im])
        });
        let inner = |a: &[Complex64], b: &[Complex64]| -> f64 {
            a.iter().zip(b).map(|(a, b)| (a.conj() * b).re).sum()
        };
        let direct = fourier.direct(&field);
        let scale: f64 = direct.iter().map(|z| z.norm()).fold(0.0, f64::max);
        let arrays = f.arrays(&[1.0]);
        for (i, z) in direct.iter().enumerate() {
            assert!((arrays[0][i] - z.re).abs() < 1e-13 * scale, "{i}");
            assert!((arrays[1][i] - z.im).abs() < 1e-13 * scale, "{i}");
        }
        let back = fourier.direct_adjoint(&cotangent);
        let (ax_y, x_aty) = (inner(&direct, &cotangent), inner(&field, &back));
        let (value, gradient) = f.value_and_gradient(&[1.0]);
        let norm = inner(&direct, &direct).sqrt() * inner(&cotangent, &cotangent).sqrt();
        for (name, got) in [("value", value), ("gradient", gradient[0]), ("plain adjoint", x_aty)] {
            assert!((got - ax_y).abs() < 1e-12 * norm, "{name}: {got} {ax_y}");
        }
    }
}

#[test]
fn the_result_is_the_same_to_the_last_bit_for_any_number_of_threads() {
    let x = [0.3, -0.2, 0.7, 1.1, 0.2];
    for kind in [Kind::Fft, Kind::Scattered] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| beam(75, 64, kind).value_and_gradient(&x))
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            for _ in 0..5 {
                assert_eq!(run(threads), one);
            }
        }
    }
}

/// The autocorrelation of a field, from one transform and the adjoint of another, and what two more make of
/// it in one space: other pixels, of as many rows, and other kernels.
fn correlation(n: usize, scattered: bool) -> Function {
    let rows = n as u32 / 2;
    let square = |first: u32, width: u32| -> Vec<(u32, u32)> {
        (first..first + rows).flat_map(|r| (0..width).map(move |c| (r, c))).collect()
    };
    let (dish, lags) = (square(1, rows), square(0, n as u32 - 1));
    let plane = |pixels: &[(u32, u32)]| {
        let axis = || Axis::Fft { points: n };
        Arc::new(Fourier::new(axis(), axis(), pixels.to_vec()))
    };
    let (there, back) = (plane(&dish), plane(&lags));
    let sky = |scale: f64| -> Transform {
        if scattered {
            let place = |i: usize| (scale * 0.3 * (i as f64).sin(), scale * 0.01 * i as f64);
            let samples: Vec<_> = (0..n).map(place).collect();
            let plan = Scattered::in_order(lags.clone(), (0.0, 0.0), &samples, 1e-9);
            return (&Arc::new(plan.expect("samples in order"))).into();
        }
        let axis = |count| {
            Axis::Matrix(Array2::from_shape_fn((count, n), |(f, p)| {
                Complex64::cis(-0.3 * scale * f as f64 * p as f64)
            }))
        };
        (&Arc::new(Fourier::new(axis(n + 3), axis(n), lags.clone()))).into()
    };
    let skies = [sky(1.0), sky(0.9)];
    Function::with_arrays(2, |tape, x| {
        let space = tape.space(dish.len());
        let part = |k: f64| tape.data_in(space, wavy(dish.len())) * k;
        let field = part(0.3) * Complex::cis(x[0] * part(1.0) + x[1]);
        let field = (part(1.0) * x[1]) * field;
        let power = tape.transform(&there, field, tape.space(n * n)).norm2();
        let twist = Complex { re: power * x[0], im: power.square() * 0.01 };
        let lags = tape.adjoint(&back, twist, tape.space(lags.len()));
        let space = tape.space(skies[0].outputs());
        let maps = skies.iter().map(|sky| tape.transform(sky.clone(), lags, space));
        let maps: Vec<_> = maps.map(|map| map.re + 0.1 * map.im).collect();
        let sum = (maps[0] + 0.3 * maps[1].square()) * (1e-3 / n.pow(4) as f64);
        (sum.square().ln_1p().sum(), vec![sum])
    })
}

#[test]
fn an_adjoint_and_transforms_that_match_are_differentiated_like_others() {
    for scattered in [false, true] {
        for n in [8, 12, 18] {
            let x = [0.7, 0.9];
            let mut f = correlation(n, scattered);
            check_gradient(&mut f, &x);
            let v = [0.3, -0.2];
            let product = f.hessian_times(&x, &v);
            let shifted = |s: f64| [x[0] + s * v[0], x[1] + s * v[1]];
            let size = product.iter().fold(1.0f64, |a, g| a.max(g.abs()));
            for (i, product) in product.iter().enumerate() {
                let difference = derivative(|s| f.value_and_gradient(&shifted(s)).1[i]);
                assert!((difference - product).abs() < TOLERANCE * size, "{difference} {product}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "must match")]
fn transforms_with_outputs_in_other_orders_are_refused() {
    Function::new(1, |tape, x| {
        let field = |n: usize| {
            let one = x[0].expand(tape.space(n));
            Complex { re: one, im: one }
        };
        let plane = |axis: Axis, n: u32| {
            let pixels = (0..n).map(|row| (row, 0)).collect();
            Arc::new(Fourier::new(axis.clone(), axis, pixels))
        };
        let (fft, matrix) = (Axis::Fft { points: 4 }, Axis::Matrix(Array2::zeros((4, 4))));
        let space = tape.space(16);
        let a = tape.transform(&plane(fft, 2), field(2), space);
        let b = tape.transform(&plane(matrix, 2), field(2), space);
        (a.norm2() + b.norm2()).sum()
    });
}

/// The total power of a transform, whose cotangent is the transform itself; or of a transform of a
/// transform, spread over what a basis combines.
fn power(n: usize, twice: bool) -> Function {
    let pixels: Vec<(u32, u32)> =
        (0..n as u32).flat_map(|r| (0..n as u32).map(move |c| (r, c))).collect();
    let axis = || Axis::Fft { points: n };
    let fourier = Arc::new(Fourier::new(axis(), axis(), pixels));
    let places: Vec<f64> = (0..n * n).map(|p| p as f64).collect();
    let all = Run { start: 0, len: n * n };
    let basis = Arc::new(Basis::polynomial_runs(2, 1, vec![all], &places, |_, places| {
        Array2::from_shape_fn((2, places.len()), |(j, p)| (j as f64 + places[p]) * 1e-3)
    }));
    Function::with_arrays(1, |tape, x| {
        let dish = tape.space(n * n);
        let part = |k: f64| (0..n * n).map(|i| (k * i as f64).sin()).collect::<Vec<_>>();
        let e = Complex {
            re: x[0] * tape.data_in(dish, part(1.3)),
            im: x[0].square() * tape.data_in(dish, part(0.7)),
        };
        let sky = tape.space(n * n);
        let mut s = tape.transform(&fourier, e, sky);
        if twice {
            let more = tape.combine(&basis, sky, &[x[0], x[0].square()]);
            let field = Complex { re: s.re * more, im: s.im };
            s = tape.transform(&fourier, field, tape.space(n * n));
        }
        (0.5 * s.norm2().sum(), vec![s.re])
    })
}

#[test]
fn transforms_may_feed_anything() {
    for twice in [false, true] {
        check_gradient(&mut power(8, twice), &[0.8]);
    }
}

/// That what a GPU would be given computes what the CPU does: values, gradients, and all else that a
/// function can be asked for. Both round in their own way: `most` is the difference that may come of
/// it, as a part of the largest number.
fn check_device(
    make: &dyn Fn() -> Function,
    x: &[f64],
    (precision, most): (Precision, f64),
    backend: Backend,
) {
    let mut cpu = make().precision(precision);
    let mut host = make().precision(precision).backend(backend);
    let close = |name: &str, a: &[f64], b: &[f64]| {
        let of_value = name == "value" || name == "array";
        let most = if of_value { most } else { of_gradients(most, backend, precision) };
        assert_eq!(a.len(), b.len());
        let size = a.iter().fold(f64::MIN_POSITIVE, |size, v| size.max(v.abs()));
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= most * size, "{name} {i}: {a} {b} of {size}");
        }
    };
    // Twice, because the first run must leave nothing behind that a second one stumbles over.
    for x in [x.to_vec(), x.iter().map(|x| x * 1.01).collect()] {
        close("value", &[cpu.value(&x)], &[host.value(&x)]);
        let (a, b) = (cpu.value_and_gradient(&x), host.value_and_gradient(&x));
        close("value", &[a.0], &[b.0]);
        close("gradient", &a.1, &b.1);
        let v: Vec<f64> = (0..x.len()).map(|i| (1.0 + i as f64).sin()).collect();
        close("curvature", &cpu.hessian_times(&x, &v), &host.hessian_times(&x, &v));
        for (a, b) in cpu.arrays(&x).iter().zip(&host.arrays(&x)) {
            close("array", a, b);
        }
        let tangents = |f: &mut Function| f.tangents(&x, std::slice::from_ref(&v));
        for (a, b) in tangents(&mut cpu).iter().zip(&tangents(&mut host)) {
            close("tangent", a.as_slice().unwrap(), b.as_slice().unwrap());
        }
    }
}

/// Rounding in the two precisions, times what sums and transforms of these sizes make of it.
const DEVICE_TOLERANCES: [(Precision, f64); 2] = [(Precision::F64, 1e-12), (Precision::F32, 1e-5)];

/// A function with these primitives on arrays and on numbers.
fn mixture(primitives: &[Primitive], data: &[f64]) -> Function {
    Function::with_arrays(2, |tape, x| {
        let d = tape.data(data);
        let arrays = primitives.iter().map(|f| f(x[0] * d, x[1]) + f(x[0], d + x[1]) * d);
        let arrays: Vec<_> = arrays.collect();
        let n = (data.len() * primitives.len()) as f64;
        let sums = arrays.iter().map(|array| array.sum() / n);
        let numbers = primitives.iter().map(|f| f(x[0], x[1]) * x[1]);
        (sums.chain(numbers).reduce(|a, b| a + b).unwrap(), arrays)
    })
}

fn wavy(n: usize) -> Vec<f64> {
    (0..n).map(|i| 1.25 + 0.75 * (i as f64).sin()).collect()
}

#[test]
fn every_primitive_is_the_same_on_cuda() {
    let x = [0.8, 1.2];
    let all =
        || devices().into_iter().flat_map(|b| DEVICE_TOLERANCES.map(|(p, most)| (b, p, most)));
    for (backend, precision, most) in all() {
        for primitive in PRIMITIVES {
            for n in [1, 300] {
                let make = || mixture(&[*primitive], &wavy(n));
                let mut host = make().precision(precision).backend(backend);
                let (a, b) = (
                    make().precision(precision).value_and_gradient(&x),
                    host.value_and_gradient(&x),
                );
                let pairs = std::iter::once((a.0, b.0)).chain(a.1.into_iter().zip(b.1));
                let pairs: Vec<_> = pairs.collect();
                let size = pairs.iter().fold(0.0f64, |size, p| size.max(p.0.abs()));
                let most = of_gradients(most, backend, precision);
                assert!(pairs.iter().all(|(a, b)| (a - b).abs() <= most * size), "{pairs:?}");
            }
        }
        for n in [1, 7, 255, 256, 257, 5000] {
            check_device(&|| mixture(PRIMITIVES, &wavy(n)), &x, (precision, most), backend);
        }
        // So many that a thread of a GPU has several.
        let many = || mixture(&PRIMITIVES[..1], &wavy(600_000));
        check_device(&many, &x, (precision, most), backend);
    }
}

#[test]
fn transforms_and_bases_are_the_same_on_cuda() {
    let x = [0.3, -0.2, 0.7, 1.1, 0.2];
    let all = || devices().into_iter().flat_map(|b| DEVICE_TOLERANCES.map(|t| (b, t)));
    for (backend, tolerance) in all() {
        for (n, twice) in [(8, false), (8, true), (12, true)] {
            check_device(&|| power(n, twice), &[0.8], tolerance, backend);
            check_device(&|| correlation(n, false), &[0.7, 0.9], tolerance, backend);
        }
        // Odd and prime sizes, and such that the last group of columns is short or alone.
        for (nx, ny) in [(3, 4), (8, 16), (9, 7), (31, 20), (37, 53), (64, 32)] {
            for kind in [Kind::Fft, Kind::Matrix] {
                check_device(&|| beam(nx, ny, kind), &x, tolerance, backend);
            }
            // The CPU's is a non-uniform FFT to 1e-9 of all moduli, a GPU's the plain sum.
            let tolerance = (tolerance.0, f64::max(tolerance.1, 1e-7));
            check_device(&|| beam(nx, ny, Kind::Scattered), &x, tolerance, backend);
        }
    }
}

#[test]
fn nvrtc_compiles_every_kernel_to_ptx() {
    if !has_nvrtc() || !has_compiler() {
        return;
    }
    let sources = sources_of(|| {
        for tolerance in DEVICE_TOLERANCES {
            let make = || mixture(PRIMITIVES, &wavy(9));
            check_device(&make, &[0.8, 1.2], tolerance, Backend::Host);
            for kind in [Kind::Fft, Kind::Matrix, Kind::Scattered] {
                let x = [0.3, -0.2, 0.7, 1.1, 0.2];
                let tolerance = (tolerance.0, f64::max(tolerance.1, 1e-7));
                check_device(&|| beam(4, 5, kind), &x, tolerance, Backend::Host);
            }
        }
    });
    assert!(sources.len() >= 20, "{}", sources.len());
    compile_to_ptx(&sources);
}
