//! What an observer looks at before a correction is sent to a surface, each as a name and a reason.
//!
//! | flag | raised where |
//! |---|---|
//! | `edge-excursion` | the error near the rim exceeds 1.5 rad of phase and three times the largest farther in |
//! | `rim-pattern` | one angular frequency from 4 up makes more than 0.6 of the variance round the rim, over 0.3 rad |
//! | `focus-jump`, `coma-jump` | between the chosen order and a neighbour that converged too, by more than 0.3 rad and 5 sigma |
//! | `reduced-chi2` | above 2, or below 0.5 |
//! | `large-rms` | half path over 400 um at 7 mm, in proportion to the wavelength (GBT practice) |
//! | `mostly-errors` | the rms is less than twice what the errors of the coefficients would make of a perfect surface |
//! | `alike-residuals` | errors would be more than twice as large if what is left within a beam's width were one and the same |
//! | `at-bound` | a free parameter could go no farther: the maps would have it beyond, and its error says nothing |
//! | `known-together` | errors correlate by more than 0.999: the maps hardly tell parameters apart |
//! | `order-limit` | `--order auto` chose its limit |
//! | `chains-apart`, `few-draws`, `divergences`, `posterior-width` | draws are not to be trusted, or spread otherwise than the errors ([`super::sampling`]) |

use super::degenerate;
use super::result::{FitResult, OrderSummary, SurfaceSummary};
use super::surface::Surface;
use crate::optics::zernike::Mode;
use serde::Serialize;
use std::f64::consts::{PI, TAU};

/// A doubt about a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    pub name: String,
    /// One line.
    pub reason: String,
}

/// Where the rim begins, in dish radii.
const RIM: f64 = 0.9;
/// Excursions below this are of no interest, radians of phase.
const EXCURSION: f64 = 1.5;
/// Ripples and jumps below this are of no interest, radians of phase.
const RIPPLE: f64 = 0.3;
/// The largest rms that observers accept, half path, metres, at [`OF_WAVELENGTH`].
const MOST: f64 = 400e-6;
const OF_WAVELENGTH: f64 = 7e-3;

/// Noise, whose samples are independent, does not make errors so many times as large.
pub(super) const ALIKE: f64 = 2.0;

/// The flags of a result.
pub fn flags(result: &FitResult) -> Vec<Flag> {
    let shape = &result.images.shape;
    let found = [
        edge_excursion(shape),
        rim_pattern(shape),
        jump("focus-jump", "focus", &result.orders, result.order, |o| {
            vec![(o.z4_rad, o.z4_sigma_rad)]
        }),
        jump("coma-jump", "coma", &result.orders, result.order, |o| {
            vec![(o.z7_rad, o.z7_sigma_rad), (o.z8_rad, o.z8_sigma_rad)]
        }),
        chi2(result.reduced_chi2),
        rms(result.surface.surface_rms_m, result.wavelength_m),
        errors(&result.surface),
        alike(result.errors_if_alike),
        bound(result),
        together(result),
        limit(&result.orders, result.order),
    ];
    let flag = |(name, reason): (&str, String)| Flag { name: name.into(), reason };
    found.into_iter().flatten().map(flag).collect()
}

type Found = Option<(&'static str, String)>;

fn edge_excursion(shape: &Surface) -> Found {
    let radians = 4.0 * PI / shape.wavelength;
    let ring = |r: f64| (0..72).map(move |i| (r, TAU * f64::from(i) / 72.0));
    let phase = |radii: &[f64]| -> Vec<f64> {
        let polar = radii.iter().flat_map(|&r| ring(r * shape.radius));
        let points: Vec<(f64, f64)> = polar.map(|(r, t)| (r * t.cos(), r * t.sin())).collect();
        shape.at(&points).0.iter().map(|s| s * radians).collect()
    };
    // Rings of equal area.
    let inner: Vec<f64> = (0..8).map(|i| RIM * ((f64::from(i) + 0.5) / 8.0).sqrt()).collect();
    let inner = phase(&inner);
    let inner = inner.iter().fold(0.0f64, |a, p| a.max(p.abs()));
    let outer = phase(&[RIM, 0.5 * (1.0 + RIM), 1.0]);
    let most = outer.iter().fold(0.0f64, |a, p| a.max(p.abs()));
    (most > EXCURSION && most > 3.0 * inner).then(|| {
        ("edge-excursion", format!("the error reaches {most:.1} rad at the rim, {inner:.1} rad at most farther in: faults of the maps show first there, where the dish is lit least"))
    })
}

fn rim_pattern(shape: &Surface) -> Found {
    // At the rim every polynomial is cos or sin of its angle.
    let mut waves = vec![(0.0, 0.0); shape.order as usize + 1];
    for (j, z) in shape.coefficients.iter().enumerate() {
        let l = Mode::of(j).l;
        let wave = &mut waves[l.unsigned_abs() as usize];
        if l < 0 { wave.1 += z } else { wave.0 += z }
    }
    let amplitudes: Vec<f64> = waves.iter().skip(1).map(|(a, b)| f64::hypot(*a, *b)).collect();
    let total: f64 = amplitudes.iter().map(|a| a * a).sum();
    let (m, most) = (1..).zip(amplitudes).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (m >= 4 && most > RIPPLE && most * most > 0.6 * total).then(|| {
        ("rim-pattern", format!("a wave with {m} periods round the circumference, {most:.1} rad high, makes most of the error at the rim: often a fault of the maps"))
    })
}

/// A coefficient and its standard deviation, of some order.
type Coefficients = Vec<(Option<f64>, Option<f64>)>;

fn jump(
    name: &'static str,
    what: &str,
    orders: &[OrderSummary],
    order: u32,
    of: fn(&OrderSummary) -> Coefficients,
) -> Found {
    let chosen = orders.iter().find(|o| o.order == order)?;
    // An order that is too low to explain the maps has what it cannot explain in its coefficients.
    let converged = orders.iter().filter(|o| o.status == "converged");
    for other in converged.filter(|o| o.order.abs_diff(order) == 1) {
        for ((a, sa), (b, sb)) in of(chosen).into_iter().zip(of(other)) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let sigma = sa.unwrap_or(0.0).hypot(sb.unwrap_or(0.0));
            if (a - b).abs() > f64::max(RIPPLE, 5.0 * sigma) {
                let reason = format!(
                    "{what} is {a:.2} rad at order {order} and {b:.2} rad at order {}",
                    other.order
                );
                return Some((name, reason));
            }
        }
    }
    None
}

fn chi2(reduced: Option<f64>) -> Found {
    let chi2 = reduced.filter(|c| !(0.5..=2.0).contains(c))?;
    let why =
        if chi2 > 1.0 { "the model leaves more than the noise" } else { "the noise is overstated" };
    Some(("reduced-chi2", format!("reduced chi-square {chi2:.2}: {why}")))
}

fn rms(surface: f64, wavelength: f64) -> Found {
    let most = MOST * wavelength / OF_WAVELENGTH;
    (surface > most).then(|| {
        let um = 1e6;
        (
            "large-rms",
            format!(
                "surface rms {:.0} um (half path), more than {:.0} um at this wavelength",
                surface * um,
                most * um
            ),
        )
    })
}

fn errors(surface: &SurfaceSummary) -> Found {
    let alone = surface.surface_rms_of_errors_m?;
    (surface.surface_rms_m < 2.0 * alone).then(|| {
        let [rms, alone] = [surface.surface_rms_m, alone].map(|metres| 1e6 * metres);
        ("mostly-errors", format!("surface rms {rms:.1} um, of which the errors of the coefficients alone make {alone:.1} um: there may be nothing to correct"))
    })
}

fn alike(times: Option<f64>) -> Found {
    let times = times.filter(|times| *times > ALIKE)?;
    Some((
        "alike-residuals",
        format!(
            "what is left is alike from sample to sample, as the faults of maps and models are: taken to be one and the same within a beam's width, errors would be {times:.1} times as large"
        ),
    ))
}

fn bound(result: &FitResult) -> Found {
    let stopped = result.parameters.iter().filter(|p| p.at_bound);
    let names: Vec<&str> = stopped.map(|p| p.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        let what = if names.len() == 1 { "is at its bound" } else { "are at their bounds" };
        (
            "at-bound",
            format!(
                "{} {what}: the maps would go beyond, and the error says nothing; see --bound",
                names.join(", ")
            ),
        )
    })
}

fn together(result: &FitResult) -> Found {
    let groups = degenerate::together(result.covariance.as_ref()?.view());
    let names: Vec<&str> =
        result.parameters.iter().filter(|p| p.free).map(|p| p.name.as_str()).collect();
    let named = |group: &Vec<usize>| {
        group.iter().filter_map(|&k| names.get(k).copied()).collect::<Vec<_>>().join(", ")
    };
    let groups: Vec<String> = groups.iter().map(named).collect();
    (!groups.is_empty()).then(|| {
        ("known-together", format!("the maps hardly tell {} apart, so the error of each is that of the others, or of a --prior", groups.join("; or ")))
    })
}

fn limit(orders: &[OrderSummary], order: u32) -> Found {
    let last = orders.iter().map(|o| o.order).max()?;
    (orders.len() > 1 && last == order).then(|| {
        (
            "order-limit",
            format!("the highest order tried, {order}, was chosen: higher ones may be better"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::zernike;

    fn shape(order: u32, coefficients: &[(usize, f64)]) -> Surface {
        let mut all = vec![0.0; zernike::count(order)];
        coefficients.iter().for_each(|&(j, z)| all[j] = z);
        Surface {
            radius: 10.0,
            wavelength: 7e-3,
            order,
            means: vec![0.0; all.len()],
            coefficients: all,
            covariance: None,
        }
    }

    #[test]
    fn a_surface_that_rises_only_at_the_rim_is_an_excursion() {
        // R_8^8 = r^8 is 0.43 at r = 0.9.
        let steep = shape(8, &[(zernike::count(8) - 1, 2.0)]);
        assert!(edge_excursion(&steep).unwrap().1.contains("2.0 rad at the rim"));
        assert!(edge_excursion(&shape(8, &[(zernike::count(8) - 1, 1.4)])).is_none());
        assert!(edge_excursion(&shape(2, &[(3, 5.0)])).is_none(), "an astigmatism is no excursion");
    }

    #[test]
    fn a_wave_round_the_rim_is_a_pattern() {
        let wave = Mode { n: 5, l: -5 }.index();
        let (name, reason) = rim_pattern(&shape(5, &[(wave, 0.5), (4, 3.0)])).unwrap();
        assert!(name == "rim-pattern" && reason.contains("5 periods"), "{reason}");
        assert!(rim_pattern(&shape(5, &[(wave, 0.2)])).is_none(), "too low");
        assert!(rim_pattern(&shape(5, &[(wave, 0.5), (3, 0.5)])).is_none(), "one of several");
        assert!(rim_pattern(&shape(5, &[(6, 1.0)])).is_none(), "trefoil");
    }

    #[test]
    fn a_coefficient_that_changes_from_order_to_order_is_a_jump() {
        let row = |order, z4| OrderSummary {
            order,
            status: "converged".into(),
            z4_rad: Some(z4),
            z4_sigma_rad: Some(0.02),
            ..OrderSummary::default()
        };
        let jumped = |orders: &[OrderSummary], order| {
            jump("focus-jump", "focus", orders, order, |o| vec![(o.z4_rad, o.z4_sigma_rad)])
        };
        let orders = [row(2, 0.0), row(3, 0.9), row(4, 1.0)];
        assert!(
            jumped(&orders, 3).unwrap().1.contains("0.90 rad at order 3 and 0.00 rad at order 2")
        );
        assert!(jumped(&orders, 4).is_none());
        let too_low = OrderSummary { status: "suspect".into(), ..row(2, 0.0) };
        assert!(jumped(&[too_low, row(3, 0.9)], 3).is_none());
    }

    #[test]
    fn an_rms_that_the_errors_alone_would_make_is_told() {
        let surface = |surface_rms_m, alone| SurfaceSummary {
            surface_rms_m,
            surface_rms_of_errors_m: alone,
            ..SurfaceSummary::default()
        };
        let (name, reason) = errors(&surface(50e-6, Some(40e-6))).unwrap();
        assert!(name == "mostly-errors" && reason.contains("50.0 um"), "{reason}");
        assert!(errors(&surface(90e-6, Some(40e-6))).is_none());
        assert!(errors(&surface(50e-6, None)).is_none());
    }

    #[test]
    fn the_allowed_rms_goes_with_the_wavelength() {
        assert!(rms(399e-6, 7e-3).is_none() && rms(401e-6, 7e-3).is_some());
        assert!(rms(101e-6, 1.75e-3).is_some() && rms(99e-6, 1.75e-3).is_none());
        assert!(chi2(Some(1.3)).is_none() && chi2(None).is_none());
        assert!(chi2(Some(2.1)).is_some() && chi2(Some(0.4)).unwrap().1.contains("overstated"));
    }
}
