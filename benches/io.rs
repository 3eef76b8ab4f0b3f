//! The io layer: `cargo bench --bench io`. Maps to and from FITS, `.npy` and text, in memory, beside a copy of
//! the samples.

mod paper;
mod stopwatch;

use oof::device::Precision;
use oof::io::{fits, npy, text};
use paper::Paper;
use std::fmt::Write;
use stopwatch::{line, median};

fn main() {
    for points in [64, 512] {
        let maps = Paper::new(points, 5, Precision::F64).maps;
        let bytes = (maps.maps.iter().map(|map| 8 * map.power.len()).sum::<usize>()) as f64;
        let rate = |what: &str, seconds: f64| {
            line(
                &format!("{what}, 3 maps of {points}"),
                seconds,
                &format!("{:.0} MB/s", bytes / seconds / 1e6),
            );
        };
        let copied = median(|| {
            std::hint::black_box(maps.maps.clone());
        });
        rate("copy", copied);
        for precision in [Precision::F64, Precision::F32] {
            let write = || fits::write_maps(&maps, &[], precision).expect("FITS");
            let written = write();
            rate(&format!("write FITS, {precision:?}"), median(|| drop(write())));
            let read = || fits::read_maps(&written, "maps.fits").expect("maps");
            rate(&format!("read FITS, {precision:?}"), median(|| drop(read())));
            let write = || npy::write_cube(&maps, precision).expect("npy");
            let written = write();
            rate(&format!("write npy, {precision:?}"), median(|| drop(write())));
            let read = || npy::read_cube(&written, "maps.npy").expect("a cube");
            rate(&format!("read npy, {precision:?}"), median(|| drop(read())));
        }
        let mut one = String::new();
        for (i, power) in maps.maps[0].power.iter().enumerate() {
            let (v, u) = (i / points, i % points);
            writeln!(one, "{} {} {power}", 1e-5 * u as f64, 1e-5 * v as f64).expect("a line");
        }
        let seconds = median(|| {
            text::read_map(one.as_bytes(), "map.txt", 0.0).expect("a map");
        });
        let each = format!("{:.0} ns a line", 1e9 * seconds / (points * points) as f64);
        line(&format!("read text, 1 map of {points}"), seconds, &each);
    }
}
