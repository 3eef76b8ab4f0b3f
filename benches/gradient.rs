//! Time of one value and gradient of the paper's case, for each grid: `cargo bench --bench gradient`.
//! Arguments: grids, then `f32` for single precision.

mod paper;
mod stopwatch;

use oof::device::Precision;
use paper::Paper;
use stopwatch::{median, words};

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() {
    oof::device::allocator::settle();
    let words = words();
    let precision = match words.iter().any(|w| w == "f32") {
        true => Precision::F32,
        false => Precision::F64,
    };
    let asked: Vec<usize> = words.iter().filter_map(|w| w.parse().ok()).collect();
    let grids = if asked.is_empty() { vec![32, 64, 128, 256, 512] } else { asked };
    println!("grid, forward ms, value and gradient ms ({})", precision.name());
    for points in grids {
        let paper = Paper::new(points, 7, precision);
        let problem = paper.problem();
        let which = problem.free_up_to(7);
        let mut function = problem.function(&which, &problem.start);
        let x = vec![0.01; which.len()];
        let mut gradient = vec![0.0; which.len()];
        let forward = median(|| {
            function.value(&x);
        });
        // As a minimiser does.
        let both = function.with_team(|function| {
            median(|| {
                function.value_and_gradient_into(&x, &mut gradient);
            })
        });
        println!("{points}, {:.4}, {:.4}", forward * 1e3, both * 1e3);
    }
}
