//! The autodiff layer: `cargo bench --bench autodiff`. Recording a function, planning its value, planning its
//! gradient, each with its first run, and what value, gradient and a Hessian's product take then.

mod paper;
mod stopwatch;

use oof::autodiff::Function;
use oof::device::Precision;
use paper::Paper;
use stopwatch::{line, median};

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    pool.expect("a pool of one thread").install(|| {
        layer("rosenbrock in 50 dimensions", &rosenbrock);
        for (points, order) in [(32, 3), (32, 7), (32, 9)] {
            let paper = Paper::new(points, order, Precision::F64);
            let problem = paper.problem();
            let which = problem.free_up_to(order);
            let record = || problem.function(&which, &problem.start);
            layer(&format!("paper, grid {points}, order {order}"), &record);
        }
    });
}

fn rosenbrock() -> Function {
    Function::new(50, |tape, x| {
        let terms =
            x.windows(2).map(|x| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0].powi(2)).powi(2));
        terms.fold(tape.constant(0.0), |a, b| a + b)
    })
}

fn layer(name: &str, record: &dyn Fn() -> Function) {
    let x = vec![0.01; record().parameters()];
    let mut gradient = x.clone();
    let mut function = record();
    let value = median(|| {
        function.value(&x);
    });
    let both = median(|| {
        function.value_and_gradient_into(&x, &mut gradient);
    });
    let curvature = median(|| {
        function.hessian_times(&x, &x);
    });
    let recorded = median(|| {
        record();
    });
    // The first call plans and runs.
    let planned = median(|| {
        record().value(&x);
    });
    let differentiated = median(|| {
        record().value_and_gradient(&x);
    });
    line(&format!("{name}: record"), recorded, "");
    line("  record, plan the value, run it", planned, "");
    let evaluations = format!("{:.1} evaluations", differentiated / both);
    line("  record, differentiate, plan both, run them", differentiated, &evaluations);
    line("  value", value, "");
    line("  value and gradient", both, &format!("{:.2} values", both / value));
    line("  Hessian times a vector", curvature, &format!("{:.2} values", curvature / value));
}
