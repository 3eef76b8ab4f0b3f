//! A minimiser small enough to read: BFGS with a backtracking line search.

/// The minimum of `f`, which gives value and gradient, downhill from `x`.
pub fn minimise(mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>), mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    let identity = |i, j| if i == j { 1.0 } else { 0.0 };
    // The inverse Hessian, learnt from how the gradient changes.
    let mut h: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| identity(i, j)).collect()).collect();
    let (mut value, mut gradient) = f(&x);
    for _ in 0..200 {
        let step: Vec<f64> = h.iter().map(|row| -dot(row, &gradient)).collect();
        let slope = dot(&step, &gradient);
        if slope > -1e-20 {
            break;
        }
        // Halve the step until the value falls by a part of what the slope promises (Armijo).
        let mut length = 1.0;
        let (next, (next_value, next_gradient)) = loop {
            let next: Vec<f64> = (0..n).map(|i| x[i] + length * step[i]).collect();
            let answer = f(&next);
            if answer.0 <= value + 1e-4 * length * slope {
                break (next, answer);
            }
            length /= 2.0;
            if length < 1e-12 {
                return x;
            }
        };
        // Nocedal and Wright, Numerical Optimization, equation 6.17.
        let s: Vec<f64> = (0..n).map(|i| next[i] - x[i]).collect();
        let y: Vec<f64> = (0..n).map(|i| next_gradient[i] - gradient[i]).collect();
        let sy = dot(&s, &y);
        if sy > 0.0 {
            let hy: Vec<f64> = h.iter().map(|row| dot(row, &y)).collect();
            let stretch = 1.0 + dot(&y, &hy) / sy;
            for i in 0..n {
                for j in 0..n {
                    h[i][j] += (stretch * s[i] * s[j] - hy[i] * s[j] - s[i] * hy[j]) / sy;
                }
            }
        }
        (x, value, gradient) = (next, next_value, next_gradient);
    }
    x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
