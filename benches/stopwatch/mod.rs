//! Timing for the benches: medians, and how often one thing goes into another.

#![allow(dead_code, reason = "no bench uses all of it")]

use std::time::Instant;

/// The median time of a call, seconds, over 0.3 s and at least five, after a first one.
pub fn median(mut call: impl FnMut()) -> f64 {
    call();
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || begun.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds as one says them: `12.3 us`.
pub fn said(seconds: f64) -> String {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us")];
    let fits = |unit: &&(f64, &str)| seconds >= unit.0;
    let &(size, name) = units.iter().find(fits).unwrap_or(&(1e-9, "ns"));
    format!("{:.3} {name}", seconds / size)
}

/// Prints a line of the list: what was timed, its time, and what else there is to say.
pub fn line(what: &str, seconds: f64, more: &str) {
    println!("{what:<44} {:>11}  {more}", said(seconds));
}

/// Prints ours beside another's of the same work.
pub fn against(what: &str, ours: f64, name: &str, theirs: f64) {
    line(what, ours, &format!("{name} {}, {:.2} times ours", said(theirs), theirs / ours));
}

/// The words of the command line: `cargo bench --bench NAME -- WORDS`.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).filter(|word| word != "--bench").collect()
}
