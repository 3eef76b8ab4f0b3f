//! Time of a whole fit of the benchmark's cold case and where it goes, for each grid:
//! `cargo bench --bench solution`. Arguments: grids, then `order=N`, `repeats=N`, `errors`.

mod paper;
mod stopwatch;

use oof::device::Precision;
use oof::fit::{FitResult, Progress, Setup, fit};
use paper::Paper;
use std::time::Instant;
use stopwatch::words;

/// Milliseconds: through the orders, through the levels, on the whole maps, errors and the rest.
type Times = [f64; 4];

#[global_allocator]
static MEMORY: oof::device::allocator::HugePages = oof::device::allocator::HugePages;

fn main() {
    oof::device::allocator::settle();
    // As the programs do: a thread that is not of the pool would wait for it at every evaluation.
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    pool.install(run);
}

fn run() {
    let words = words();
    let named = |name: &str, otherwise: usize| {
        let found =
            words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        found.unwrap_or(otherwise)
    };
    let (order, repeats) = (named("order", 7) as u32, named("repeats", 15));
    let asked: Vec<usize> = words.iter().filter_map(|w| w.parse().ok()).collect();
    let grids = if asked.is_empty() { vec![32, 64, 128, 256, 512, 1024] } else { asked };
    println!("grid, orders ms, levels ms, whole ms, rest ms, all ms, coarse and full evaluations");
    for points in grids {
        let mut paper = Paper::new(points, order, Precision::F64);
        paper.options.errors = words.iter().any(|word| word == "errors");
        let mut every: Vec<Times> = Vec::new();
        let mut last = None;
        for _ in 0..repeats {
            let (times, result) = timed(&paper);
            every.push(times);
            last = Some(result);
        }
        let median = |of: &dyn Fn(&Times) -> f64| {
            let mut sorted: Vec<f64> = every.iter().map(of).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        };
        let parts: Vec<String> =
            (0..4).map(|i| format!("{:.3}", median(&|times| times[i]))).collect();
        let all = median(&|times| times.iter().sum());
        let count = last.expect("at least one repeat").evaluations;
        println!("{points}, {}, {all:.3}, {} {}", parts.join(", "), count.coarse, count.full);
    }
}

fn timed(paper: &Paper) -> (Times, FitResult) {
    let Paper { telescope, maps, options } = paper;
    let begun = Instant::now();
    let now = || begun.elapsed().as_secs_f64() * 1e3;
    // When the first iteration after the orders and the first on the whole maps, and the last, came.
    let mut marks: [Option<f64>; 2] = [None; 2];
    let mut last = 0.0;
    let mut progress = |at: &Progress| {
        last = now();
        if at.full {
            marks[1].get_or_insert(last);
        }
        if !at.stage.starts_with("order") {
            marks[0].get_or_insert(last);
        }
        Ok(())
    };
    let result = fit(Setup::new(telescope, maps, options), &mut progress);
    let result = result.expect("a fit of the paper's case");
    let all = now();
    let (orders, levels) = (marks[0].unwrap_or(0.0), marks[1].unwrap_or(0.0));
    ([orders, levels - orders, last - levels, all - last], result)
}
