//! The optics layer: `cargo bench --bench optics`. Aperture, Zernike polynomials, the model before it is
//! recorded, a simulation.

mod paper;
mod stopwatch;

use oof::device::Precision;
use oof::fit::Setup;
use oof::optics::aperture::{Aperture, ApertureGrid, ApertureKind};
use oof::optics::telescope::Telescope;
use oof::optics::zernike;
use paper::Paper;
use stopwatch::{line, median};

fn main() {
    for name in ["nikolic2018", "srt"] {
        let telescope = Telescope::named(name).expect("a telescope of our own");
        for points in [256, 1024] {
            let grid = ApertureGrid { kind: ApertureKind::Smooth, points, extent: 1.02 };
            let made = || Aperture::new(&telescope, grid).expect("an aperture");
            let pixels = made().len();
            let seconds = median(|| {
                made();
            });
            let each = format!("{:.1} ns a pixel", 1e9 * seconds / pixels as f64);
            line(&format!("aperture with soft edges, {name}, {points}"), seconds, &each);
        }
    }
    let points: Vec<(f64, f64)> = (0..10_000)
        .map(|i| {
            let (r, angle) = ((f64::from(i) / 10_000.0).sqrt(), 2.4 * f64::from(i));
            (r * angle.cos(), r * angle.sin())
        })
        .collect();
    for order in [3, 7, 9] {
        let seconds = median(|| {
            zernike::table(order, &points);
        });
        let each = 1e9 * seconds / (points.len() * zernike::count(order)) as f64;
        let each = format!("{each:.2} ns a value");
        line(&format!("Zernike table, order {order}, 10000 points"), seconds, &each);
    }
    for points in [64, 256, 1024] {
        let paper = Paper::new(points, 7, Precision::F64);
        let Paper { telescope, maps, options } = &paper;
        let seconds = median(|| {
            Setup::new(telescope, maps, options).model().expect("the paper's model");
        });
        line(&format!("model, order 7, grid {points}"), seconds, "");
        let seconds = median(|| {
            paper.problem();
        });
        line(&format!("problem, order 7, grid {points}"), seconds, "");
    }
    let seconds = median(|| {
        Paper::new(256, 7, Precision::F64);
    });
    line("simulation, order 7, grid 256", seconds, "");
}
