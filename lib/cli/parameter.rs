//! Parameters by name on the command line: which there are, and the units that they take.

use crate::error::{Error, Result};
use crate::fit::FitOptions;
use crate::fit::prior::{PowerLaw, Prior};
use crate::fit::problem::LN_SCALE;
use crate::optics::beam_map::MapSet;
use crate::optics::illumination::Illumination;
use crate::optics::model::{CHOP, LATERAL, RATIO, numbered};
use crate::optics::zernike::{Mode, count};
use crate::units::Quantity;

/// Parameters that every map has for itself, `name[i]`.
pub const OF_A_MAP: [&str; 6] = ["dx", "dy", "gain", "background", "ddz", RATIO];

/// A name and its number: `z5`, `gain[1]`, or the plain name of all of a kind.
pub fn split(name: &str) -> (&str, Option<usize>) {
    if let Some((stem, rest)) = name.split_once('[') {
        let index = rest.strip_suffix(']').and_then(|i| i.parse().ok());
        return (stem, index);
    }
    (name, None)
}

/// The index of a Zernike coefficient `zJ`.
pub fn zernike(name: &str) -> Option<usize> {
    numbered('z', name)
}

/// The index of a coefficient of the amplitude `aJ`, from 1.
pub fn amplitude(name: &str) -> Option<usize> {
    numbered('a', name).filter(|j| *j > 0)
}

/// What a parameter's values are measured in.
///
/// # Errors
/// A usage error for names that no parameter has.
pub fn quantity(name: &str) -> Result<Quantity> {
    let (stem, index) = split(name);
    if zernike(name).is_some() {
        return Ok(Quantity::Angle);
    }
    if OF_A_MAP.contains(&stem) && (index.is_some() || name == stem) {
        return Ok(match stem {
            "dx" | "dy" => Quantity::Angle,
            "ddz" => Quantity::Length,
            _ => Quantity::Number,
        });
    }
    if name == CHOP {
        return Ok(Quantity::Angle);
    }
    if LATERAL.contains(&name) {
        return Ok(Quantity::Length);
    }
    if amplitude(name).is_some() || name == LN_SCALE {
        return Ok(Quantity::Number);
    }
    let of_any = |kind: &Illumination| kind.parameters().iter().any(|p| p.name == name);
    if Illumination::ALL.iter().any(of_any) {
        return Ok(Quantity::Number);
    }
    Err(Error::usage(format!(
        "unknown parameter '{name}', expected z0, z1, ..., a1, a2, ..., {}, {} with or without the number of a map \
         in brackets, {CHOP}, {LN_SCALE}, or one of the illumination such as amp, x0, sigma, taper",
        LATERAL.join(", "),
        OF_A_MAP.join(", ")
    )))
}

/// A known parameter's name.
pub fn known(name: &str) -> Result<String> {
    quantity(name.trim())?;
    Ok(name.trim().to_string())
}

/// `z3=0.2rad`
pub fn assignment(text: &str) -> Result<(String, f64)> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        Error::usage(format!("'{text}' has no '=', expected NAME=VALUE such as z3=0.2rad"))
    })?;
    value_of(name.trim(), value)
}

/// The value of the parameter `name`, SI.
pub fn value_of(name: &str, value: &str) -> Result<(String, f64)> {
    let value = quantity(name)?.parse(value);
    let value = value.map_err(|e| Error::usage(format!("{name}: {e}")))?;
    Ok((name.to_string(), value))
}

/// `taper=-25..-1`
pub fn bound(text: &str) -> Result<(String, f64, f64)> {
    let parts =
        text.split_once('=').and_then(|(name, range)| Some((name.trim(), range.split_once("..")?)));
    let Some((name, (low, high))) = parts else {
        return Err(Error::usage(format!(
            "'{text}' is no bound, expected NAME=LOW..HIGH such as taper=-25..-1"
        )));
    };
    bounds_of(name, low, high)
}

/// The lowest and the highest value of the parameter `name`, SI.
pub fn bounds_of(name: &str, low: &str, high: &str) -> Result<(String, f64, f64)> {
    let (_, lowest) = value_of(name, low)?;
    let (_, highest) = value_of(name, high)?;
    match lowest < highest {
        true => Ok((name.to_string(), lowest, highest)),
        false => Err(Error::usage(format!(
            "{name}: the bound {low}..{high} is empty, expected LOW..HIGH"
        ))),
    }
}

/// `z3=0rad:0.1rad`
pub fn prior(text: &str) -> Result<Prior> {
    let parts =
        text.split_once('=').and_then(|(name, rest)| Some((name.trim(), rest.split_once(':')?)));
    let Some((name, (mean, sigma))) = parts else {
        return Err(Error::usage(format!(
            "'{text}' is no prior, expected NAME=MEAN:SIGMA such as z3=0rad:0.1rad"
        )));
    };
    prior_of(name, mean, sigma)
}

/// The prior of the parameter `name`, SI.
pub fn prior_of(name: &str, mean: &str, sigma: &str) -> Result<Prior> {
    let (_, mean) = value_of(name, mean)?;
    match value_of(name, sigma)? {
        (name, sigma) if sigma > 0.0 => Ok(Prior { name, mean, sigma }),
        _ => Err(Error::usage(format!("{name}: a sigma of {sigma}, expected more than 0"))),
    }
}

/// `0.5rad:1.5`
pub fn power_law(text: &str) -> Result<PowerLaw> {
    let wrong = || {
        Error::usage(format!("'{text}' is no power law, expected SIGMA:POWER such as 0.5rad:1.5"))
    };
    let (sigma, power) = text.split_once(':').ok_or_else(wrong)?;
    let (sigma, power) = (Quantity::Angle.parse(sigma)?, Quantity::Number.parse(power)?);
    if sigma > 0.0 { Ok(PowerLaw { sigma, power }) } else { Err(wrong()) }
}

/// Checks that an amplitude up to `order` has a coefficient of this name, if it is of one.
///
/// # Errors
/// A usage error for a coefficient above `order`.
fn check_amplitude(name: &str, order: u32) -> Result<()> {
    match amplitude(name).map(|j| Mode::of(j).n) {
        Some(n) if n > order => Err(Error::usage(format!(
            "{name} is of order {n} of the amplitude; give --amplitude-order {n}, or more"
        ))),
        _ => Ok(()),
    }
}

/// Checks that the model that these options fit to these maps has a parameter of this name.
///
/// # Errors
/// Those of [`check_in_model`] and [`check_amplitude`].
pub fn check_in_fit(
    name: &str,
    options: &FitOptions,
    maps: &MapSet,
    illumination: Illumination,
) -> Result<()> {
    let (count, two_beams) = (maps.maps.len(), maps.chop.is_some());
    check_in_model(name, options.order, count, two_beams, illumination)?;
    check_amplitude(name, options.amplitude_order)
}

/// Checks that the model has a parameter of this name; for those of the amplitude see [`check_amplitude`].
///
/// # Errors
/// A usage error for a coefficient above `order`, a map that is not there, a second beam that is not there
/// (`two_beams`), or a parameter of another illumination.
pub fn check_in_model(
    name: &str,
    order: u32,
    maps: usize,
    two_beams: bool,
    illumination: Illumination,
) -> Result<()> {
    let (stem, index) = split(name);
    if name == LN_SCALE {
        return Err(Error::usage(format!(
            "there is no {name} unless the scale is fitted: --scale fit"
        )));
    }
    if let Some(j) = zernike(name) {
        let count = count(order);
        return match j < count {
            true => Ok(()),
            false => Err(Error::usage(format!(
                "{name} is above order {order}, whose last coefficient is z{}; give a higher --order",
                count - 1
            ))),
        };
    }
    if stem == CHOP || stem == RATIO {
        if !two_beams {
            let what = format!("there is no {name} in maps of one beam; see --chop");
            return Err(Error::usage(what));
        }
        if name == stem {
            return Ok(());
        }
    }
    if LATERAL.contains(&name) || amplitude(name).is_some() {
        return Ok(());
    }
    if OF_A_MAP.contains(&stem) {
        return match index {
            Some(i) if i >= maps => Err(Error::usage(format!(
                "there is no {name}: the {maps} maps are numbered from 0"
            ))),
            _ => Ok(()),
        };
    }
    let parameters = illumination.parameters();
    match parameters.iter().any(|p| p.name == name) {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "there is no {name} in the {} illumination, which has {}",
            illumination.name(),
            parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coefficient_takes_an_angle_and_an_illumination_a_number() {
        assert_eq!(assignment("z3=0.2rad").unwrap(), ("z3".into(), 0.2));
        assert_eq!(assignment("taper = -12").unwrap(), ("taper".into(), -12.0));
        assert_eq!(assignment("a3=0.05").unwrap(), ("a3".into(), 0.05));
        assert_eq!(assignment("sx=-2mm").unwrap(), ("sx".into(), -2e-3));
        assert!(assignment("sx=2").is_err() && assignment("a3=0.05rad").is_err());
        let (name, value) = assignment("dx[1]=2arcsec").unwrap();
        assert_eq!(name, "dx[1]");
        assert!((value - 2.0 * std::f64::consts::PI / 648_000.0).abs() < 1e-20);
        let message = assignment("z3=0.2").unwrap_err().to_string();
        assert!(message.starts_with("z3:") && message.contains("arcsec"), "{message}");
        assert!(assignment("sigma=0.7m").is_err());
        assert!(assignment("z3").unwrap_err().to_string().contains("NAME=VALUE"));
    }

    #[test]
    fn bounds_are_a_range() {
        assert_eq!(bound("taper=-25..-1").unwrap(), ("taper".into(), -25.0, -1.0));
        assert_eq!(bound("z4=-1rad..1rad").unwrap(), ("z4".into(), -1.0, 1.0));
        assert_eq!(bound("x0=-.5...5").unwrap(), ("x0".into(), -0.5, 0.5));
        for text in ["taper=-1..-25", "taper=3", "taper", "z4=-1..1", "x0=.."] {
            assert!(bound(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prior_has_a_mean_and_a_width() {
        let known = Prior { name: "ddz[1]".into(), mean: 0.0, sigma: 2e-3 };
        assert_eq!(prior("ddz[1]=0mm:2mm").unwrap(), known);
        assert_eq!(power_law("0.5rad:1.5").unwrap(), PowerLaw { sigma: 0.5, power: 1.5 });
        for text in ["z3=0.1rad", "z3=0rad:0rad", "z3=0rad:-1rad", "z3=0:1", "z3", "q=1:x"] {
            assert!(prior(text).is_err(), "{text}");
        }
        for text in ["1", "1:1", "0rad:1", "-1rad:1", "1rad:x"] {
            assert!(power_law(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in ["", "z", "zz", "z03", "z-1", "gain[", "gain[x]", "gain]0[", "sigma[0]", "dz"] {
            assert!(known(name).is_err(), "{name}");
        }
        for name in ["a", "a0", "a01", "a1[0]", "sx[0]", "sz"] {
            assert!(known(name).is_err(), "{name}");
        }
        for name in ["z0", "z230", "gain", "gain[12]", "sigma", "taper", "q", "a1", "sx", "sy"] {
            assert!(known(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_has_to_be_in_the_model() {
        let check = |name| check_in_model(name, 2, 3, false, Illumination::Gaussian);
        assert!(check("z5").is_ok() && check("z6").is_err());
        assert!(check("gain[2]").is_ok() && check("gain[3]").is_err() && check("gain").is_ok());
        assert!(check("ratio[1]").is_err() && check("chop").is_err());
        let two = |name| check_in_model(name, 2, 3, true, Illumination::Gaussian);
        assert!(two("ratio[2]").is_ok() && two("ratio[3]").is_err() && two("chop").is_ok());
        assert!(two("chop[1]").is_err());
        assert!(check("sx").is_ok() && check_amplitude("a5", 2).is_ok());
        let message = check_amplitude("a6", 2).unwrap_err().to_string();
        assert!(message.contains("--amplitude-order 3"), "{message}");
        assert!(check_amplitude("z6", 0).is_ok() && check_amplitude("amp", 0).is_ok());
        let message = check("taper").unwrap_err().to_string();
        assert!(message.contains("gaussian") && message.contains("sigma"), "{message}");
    }
}
