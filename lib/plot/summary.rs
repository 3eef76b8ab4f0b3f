//! What a fit found, in words beside its pictures.

use super::canvas::{Canvas, GREY, INK, RULE, Rgb};
use super::panel::WIDTH;
use super::text::Face;
use crate::fit::result::{FitResult, ParameterSummary};
use crate::units::show_length;

const LINE: i64 = 18;
/// Letters from the beginning of a name to its value.
const NAMES: i64 = 14;
/// Zernike coefficients in two columns of no more than this.
const MOST_ROWS: usize = 12;
const GREEN: Rgb = [20, 120, 60];
const RED: Rgb = [180, 40, 30];

/// The block of text: names and values, then the coefficients.
pub(super) struct Summary {
    facts: Vec<(&'static str, String, Rgb)>,
    /// One a free Zernike coefficient, all equally long.
    coefficients: Vec<String>,
    left_out: usize,
}

impl Summary {
    pub(super) fn of(result: &FitResult) -> Self {
        let mut coefficients = zernikes(&result.parameters);
        let left_out = coefficients.len().saturating_sub(2 * MOST_ROWS);
        coefficients.truncate(2 * MOST_ROWS);
        Summary { facts: facts(result), coefficients, left_out }
    }

    /// Pixels from the top of the first line to the bottom of the last.
    pub(super) fn height(&self) -> i64 {
        let listed = match self.coefficients.len() {
            0 => 0,
            n => 2 + n.div_ceil(2) + usize::from(self.left_out > 0),
        };
        (self.facts.len() + listed) as i64 * LINE
    }

    /// Draws the block, no wider than a panel, with its top left corner at `(x, y)`.
    pub(super) fn draw(&self, canvas: &mut Canvas, x: i64, y: i64) {
        let face = Face::Body;
        let values = x + NAMES * face.width();
        let mut y = y;
        for (name, value, colour) in &self.facts {
            canvas.text(x, y, name, face, GREY);
            let value = face.clip(value, x + WIDTH - values);
            canvas.text(values, y, &value, face, *colour);
            y += LINE;
        }
        if self.coefficients.is_empty() {
            return;
        }
        y += LINE / 2;
        let heading = "Zernike coefficients [rad]";
        canvas.text(x, y, heading, Face::Bold, INK);
        y += LINE;
        canvas.line((x, y), (x + WIDTH - 1, y), RULE);
        y += LINE / 2;
        let rows = self.coefficients.len().div_ceil(2);
        for (i, words) in self.coefficients.iter().enumerate() {
            let at = x + (i / rows) as i64 * (WIDTH / 2);
            let words = face.clip(words, WIDTH / 2 - face.width());
            canvas.text(at, y + (i % rows) as i64 * LINE, &words, face, INK);
        }
        if self.left_out > 0 {
            let words = format!("and {} more", self.left_out);
            canvas.text(x, y + rows as i64 * LINE, &words, face, GREY);
        }
    }
}

fn facts(result: &FitResult) -> Vec<(&'static str, String, Rgb)> {
    let surface = &result.surface;
    let unknown = || String::from("unknown");
    let length = |m: f64| {
        if m.is_finite() { show_length(m) } else { unknown() }
    };
    let number = |x: f64, decimals: usize| match x.abs() {
        x if !x.is_finite() => unknown(),
        1e-3..1e6 | 0.0 => format!("{x:.decimals$}"),
        _ => format!("{x:.decimals$e}"),
    };
    let status = match result.status.as_str() {
        "converged" => GREEN,
        _ => RED,
    };
    let mut facts = vec![
        ("telescope", result.telescope.clone(), INK),
        ("wavelength", length(result.wavelength_m), INK),
        ("order", result.order.to_string(), INK),
        ("illumination", result.illumination.clone(), INK),
        (
            "likelihood",
            format!(
                "{}, scale {} of peak",
                result.likelihood.kind,
                significant(result.likelihood.scale)
            ),
            INK,
        ),
        ("status", result.status.clone(), status),
    ];
    if result.status != "converged" {
        facts.extend(wrapped(&result.message).map(|line| ("", line, status)));
    }
    facts.extend(result.flags.iter().map(|flag| ("flag", flag.name.clone(), RED)));
    facts.push((
        "reduced chi2",
        match result.reduced_chi2 {
            Some(chi2) => number(chi2, 3),
            None => "unknown, as the noise is".into(),
        },
        INK,
    ));
    let rms = match surface.surface_rms_sigma_m.filter(|s| s.is_finite()) {
        Some(sigma) => {
            let decimals = decimals_for(sigma * 1e6).min(3);
            let micro = |m: f64| number(m * 1e6, decimals);
            format!("{} ± {} µm", micro(surface.surface_rms_m), micro(sigma))
        }
        None => format!("{} µm", number(surface.surface_rms_m * 1e6, 1)),
    };
    facts.push(("surface rms", format!("{rms} (half path)"), INK));
    facts.push(("phase rms", format!("{} rad", number(surface.phase_rms_rad, 3)), INK));
    facts.push(("Ruze", format!("efficiency {}", number(surface.ruze_efficiency, 4)), INK));
    facts
}

/// A text in lines that fit beside the names.
fn wrapped(text: &str) -> impl Iterator<Item = String> {
    let room = (WIDTH / Face::Body.width() - NAMES) as usize;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("a line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
            lines.push(word.into());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines.into_iter()
}

/// The free Zernike coefficients: name, value, standard deviation, with as many decimals as the
/// best known of them deserves.
fn zernikes(parameters: &[ParameterSummary]) -> Vec<String> {
    let free = || parameters.iter().filter(|p| p.free && p.n.is_some() && p.unit == "rad");
    let sigmas = free().filter_map(|p| p.sigma).filter(|s| *s > 0.0 && s.is_finite());
    let best = sigmas.fold(f64::INFINITY, f64::min);
    let decimals = if best.is_finite() { decimals_for(best).clamp(2, 5) } else { 3 };
    let number = |x: f64| match x.abs() < 1e3 {
        true => format!("{x:+.decimals$}"),
        false => format!("{x:+.1e}"),
    };
    let width = free().map(|p| number(p.value).len()).max().unwrap_or(0);
    let name = free().map(|p| p.name.chars().count()).max().unwrap_or(0);
    let written = free().map(|p| {
        let value = number(p.value);
        let sigma = match p.sigma {
            Some(sigma) if sigma.abs() < 1e3 => format!(" ± {sigma:.decimals$}"),
            Some(sigma) => format!(" ± {sigma:.1e}"),
            None => String::new(),
        };
        format!("{:<name$}  {value:>width$}{sigma}", p.name)
    });
    written.collect()
}

/// Decimals that show two digits of an uncertainty.
fn decimals_for(sigma: f64) -> usize {
    if sigma > 0.0 && sigma.is_finite() {
        (1.0 - sigma.log10().floor()).clamp(0.0, 9.0) as usize
    } else {
        3
    }
}

/// Up to three significant digits, without trailing zeros.
fn significant(x: f64) -> String {
    let text = format!("{x:.2e}");
    match text.parse::<f64>() {
        Ok(rounded) if rounded == 0.0 || (1e-4..1e6).contains(&rounded.abs()) => {
            rounded.to_string()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::result;
    use super::*;

    fn zernike(name: &str, value: f64, sigma: Option<f64>) -> ParameterSummary {
        ParameterSummary {
            name: name.into(),
            n: Some(2),
            l: Some(0),
            value,
            sigma,
            unit: "rad".into(),
            free: true,
            at_bound: false,
        }
    }

    #[test]
    fn coefficients_are_written_in_line_with_two_digits_of_the_smallest_sigma() {
        let mut fixed = zernike("z1", 0.0, None);
        fixed.free = false;
        let mut gain = zernike("gain[0]", 1.0, Some(0.1));
        gain.n = None;
        let parameters =
            [fixed, zernike("z4", -0.12345, Some(0.0123)), zernike("z10", 12.0, Some(0.5)), gain];
        assert_eq!(zernikes(&parameters), ["z4    -0.123 ± 0.012", "z10  +12.000 ± 0.500"]);
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        assert_eq!(significant(0.01), "0.01");
        assert_eq!(significant(0.123456), "0.123");
        assert_eq!(significant(1e-7), "1.00e-7");
        assert_eq!(significant(0.0), "0");
        assert_eq!(decimals_for(0.0123), 3);
        assert_eq!(decimals_for(4.5), 1);
        assert_eq!(decimals_for(45.0), 0);
    }

    #[test]
    fn the_block_is_no_taller_than_it_says() {
        let mut result = result(0);
        result.telescope =
            "a telescope with a name that no plate could ever hold in one line".into();
        for count in [0, 1, 5, 24, 25, 60] {
            result.parameters = (0..count).map(|i| zernike(&format!("z{i}"), 0.1, None)).collect();
            let summary = Summary::of(&result);
            let mut canvas = Canvas::new(WIDTH as usize + 20, 900);
            summary.draw(&mut canvas, 0, 0);
            let inked = |x, y| canvas.pixel(x, y) != Some([255; 3]);
            let rows = (0..900).filter(|y| (0..WIDTH + 20).any(|x| inked(x, *y)));
            let lowest = rows.max().unwrap_or(0);
            assert!(lowest < summary.height() && lowest > summary.height() - LINE);
            assert!(!(WIDTH..WIDTH + 20).any(|x| (0..900).any(|y| inked(x, y))));
        }
    }
}
