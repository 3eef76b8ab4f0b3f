//! Pages: what is drawn where.

use super::canvas::{Canvas, GREY, INK, RULE};
use super::colour::{ColourScale, extremes, is_shown};
use super::limit::robust_limit;
use super::panel::{Axis, Panel, SIDE, WIDTH};
use super::picture::Picture;
use super::summary::Summary;
use super::text::Face;
use crate::fit::result::FitResult;
use crate::optics::beam_map::{BeamMap, MapSet};
use crate::units::show_length;

const COLUMNS: usize = 3;
const MARGIN: i64 = 28;
/// Between neighbours.
const GUTTER: i64 = 24;
/// From the top of the page's heading to the first row.
const HEADING: i64 = 56;
/// Maps beyond these are left out, and the heading says so.
const MOST_MAPS: usize = 64;
/// Letters of a map's name.
const NAME: usize = 20;
const FRACTION: &str = "fraction of peak";

/// The picture of a fit, as PNG: a row a map with the observed power, the model and the residual
/// (observed less model), then the aperture's phase and amplitude and the numbers. `maps` are those
/// that were fitted, in the order of `result.maps` and `result.images.model`; what is missing of
/// these is drawn as blanks. Sky axes: u to the right, v upwards; aperture: x to the right, y
/// upwards.
pub fn fit_page(result: &FitResult, maps: &MapSet) -> Vec<u8> {
    let shown = maps.maps.iter().take(MOST_MAPS).enumerate();
    let mut rows: Vec<Vec<Panel>> = shown.map(|(i, map)| fitted(result, map, i)).collect();
    rows.push(aperture(result));
    let summary = Summary::of(result);
    let title = format!("{}: out-of-focus holography", result.telescope);
    let about = about(maps, Some(result.wavelength_m));
    draw(&title, &about, &rows, Some(&summary)).png()
}

/// The picture of observed maps, three a row, as PNG. Axes as for [`fit_page`].
pub fn maps_page(maps: &MapSet) -> Vec<u8> {
    let shown = &maps.maps[..maps.maps.len().min(MOST_MAPS)];
    let rows: Vec<Vec<Panel>> =
        shown.chunks(COLUMNS).map(|maps| maps.iter().map(observed).collect()).collect();
    let title = match &maps.telescope {
        Some(telescope) => format!("{telescope}: beam maps"),
        None => "beam maps".into(),
    };
    draw(&title, &about(maps, maps.wavelength), &rows, None).png()
}

/// The heading, the rows below each other, and the summary in the last row's last place.
fn draw(title: &str, about: &str, rows: &[Vec<Panel>], summary: Option<&Summary>) -> Canvas {
    let mut heights: Vec<i64> = rows.iter().map(|row| row_height(row)).collect();
    if let (Some(last), Some(summary)) = (heights.last_mut(), summary) {
        *last = (*last).max(summary.height());
    }
    let columns = COLUMNS as i64;
    let width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GUTTER;
    let gutters = (rows.len() as i64 - 1).max(0) * GUTTER;
    let height = 2 * MARGIN + HEADING + heights.iter().sum::<i64>() + gutters;
    let mut canvas = Canvas::new(width as usize, height as usize);
    draw_heading(&mut canvas, title, about);

    let left = |column: usize| MARGIN + column as i64 * (WIDTH + GUTTER);
    let mut top = MARGIN + HEADING;
    for (i, (row, height)) in rows.iter().zip(&heights).enumerate() {
        for (column, panel) in row.iter().enumerate() {
            panel.draw(&mut canvas, left(column), top);
        }
        if let Some(summary) = summary.filter(|_| i + 1 == rows.len()) {
            summary.draw(&mut canvas, left(COLUMNS - 1), top);
        }
        top += height + GUTTER;
    }
    canvas
}

fn row_height(row: &[Panel]) -> i64 {
    row.iter().map(Panel::height).max().unwrap_or(0)
}

fn draw_heading(canvas: &mut Canvas, title: &str, about: &str) {
    let right = canvas.size().0 as i64 - MARGIN;
    let title = Face::Heading.clip(title, right - MARGIN);
    canvas.text(MARGIN, MARGIN - 6, &title, Face::Heading, INK);
    let left = MARGIN + Face::Heading.span(&title) + 2 * Face::Heading.width();
    let about = Face::Body.clip(about, right - left);
    // On the heading's base line.
    canvas.text(left, MARGIN - 3, &about, Face::Body, GREY);
    let rule = MARGIN + Face::Heading.height() + 4;
    canvas.line((MARGIN, rule), (right - 1, rule), RULE);
}

/// Observed, model and residual of one map.
fn fitted(result: &FitResult, map: &BeamMap, index: usize) -> Vec<Panel> {
    let summary = result.maps.get(index);
    let peak = summary.map_or(f64::NAN, |s| s.peak);
    let (size, unit) = unit_of(if peak > 0.0 { peak } else { peak_of(map) });
    let model = result.images.model.get(index).map_or(&[][..], Vec::as_slice);
    let pairs = map.power.iter().zip(model);
    let residual: Vec<f64> = pairs.map(|(observed, model)| observed - model).collect();

    let rms = match summary.map(|s| s.residual_rms_over_peak) {
        Some(rms) if rms.is_finite() => format!("rms {:.2} % of peak", 100.0 * rms),
        _ => String::from("rms unknown"),
    };
    // Of a path what tells it from others: its end.
    let name = match map.name.rsplit('/').next().unwrap_or_default() {
        "" => defocus(map),
        name => match name.char_indices().rev().nth(NAME - 1) {
            Some((at, _)) if at > 0 => format!("{}  ...{}", defocus(map), &name[at..]),
            _ => format!("{}  {name}", defocus(map)),
        },
    };
    let observed = on_sky(map, &map.power, size);
    let model = on_sky(map, model, size);
    let residual = Picture::of_sky(&map.sampling, &residual).divided_by(size);
    // Of the pixels as they are, or as they are drawn where those are fewer.
    let drawn = residual.fitted(SIDE);
    let limit = if residual.values.len() > drawn.values.len() {
        robust_limit(&drawn)
    } else {
        robust_limit(&residual)
    };
    let power = shared_scale(&observed, &model);
    let errors = ColourScale::diverging(limit);
    vec![
        sky_panel("observed", name, observed, power, unit),
        sky_panel("model", defocus(map), model, power, unit),
        sky_panel("residual", rms, drawn, errors, unit),
    ]
}

/// One map by itself.
fn observed(map: &BeamMap) -> Panel {
    let peak = peak_of(map);
    let (size, unit) = unit_of(peak);
    let picture = on_sky(map, &map.power, size);
    let (low, mut high) = extremes(&picture.values);
    if peak > 0.0 && high > 2.0 * peak / size {
        // A glitch would leave the beam dark.
        high = 1.1 * peak / size;
    }
    let title = if map.name.is_empty() { "map" } else { &map.name };
    let scale = ColourScale::sequential(low, high);
    sky_panel(title, defocus(map), picture, scale, unit)
}

fn sky_panel(
    title: &str,
    note: String,
    picture: Picture,
    scale: ColourScale,
    unit: &'static str,
) -> Panel {
    let edges = [picture.x.0, picture.x.1, picture.y.0, picture.y.1];
    let extent = edges.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    Panel {
        title: title.into(),
        note,
        picture,
        scale,
        x: Axis::sky("u", extent),
        y: Axis::sky("v", extent),
        unit,
    }
}

/// Phase and amplitude on the dish.
fn aperture(result: &FitResult) -> Vec<Panel> {
    let half_width = result.images.aperture_half_width_m;
    let phase = Picture::of_dish(&result.images.phase, half_width).fitted(SIDE);
    let amplitude = Picture::of_dish(&result.images.amplitude, half_width).fitted(SIDE);
    let (low, high) = extremes(&phase.values);
    let (_, brightest) = extremes(&amplitude.values);
    let rms = match result.surface.phase_rms_rad {
        rms if rms.is_finite() => format!("rms {rms:.3} rad"),
        _ => String::new(),
    };
    let panel = |title: &str, note, picture, scale, unit| Panel {
        title: title.into(),
        note,
        picture,
        scale,
        x: Axis::dish("x"),
        y: Axis::dish("y"),
        unit,
    };
    let symmetric = ColourScale::diverging(low.abs().max(high.abs()));
    let from_zero = ColourScale::sequential(0.0, brightest);
    let lit = result.illumination.clone();
    vec![
        panel("aperture phase", rms, phase, symmetric, "rad"),
        panel("aperture amplitude", lit, amplitude, from_zero, "amplitude"),
    ]
}

/// `values` of a map's samples in `unit`s, at the size of a panel.
fn on_sky(map: &BeamMap, values: &[f64], unit: f64) -> Picture {
    Picture::of_sky(&map.sampling, values).fitted(SIDE).divided_by(unit)
}

/// The peak of a map's beam; of one that is not whole, the highest sample.
fn peak_of(map: &BeamMap) -> f64 {
    let whole = map.power.len() == map.sampling.len();
    if whole { map.peak_of_beam() } else { map.peak() }
}

/// What powers are divided by, and what to call the quotient.
fn unit_of(peak: f64) -> (f64, &'static str) {
    if is_shown(peak) && peak > f64::MIN_POSITIVE {
        (peak, FRACTION)
    } else {
        (1.0, "the map's unit")
    }
}

/// One scale for a map and its model: what both span. Where the map has more than twice the model's
/// largest power, that is a glitch which would leave the beam dark: then the scale ends a tenth above
/// the model, and the colour bar shows that there is more.
fn shared_scale(observed: &Picture, model: &Picture) -> ColourScale {
    let (low, high) = extremes(&observed.values);
    let (model_low, model_high) = extremes(&model.values);
    let span = model_high - model_low;
    let (mut least, mut most) = (low, high);
    // Never so for a constant model, or one without values, whose span is NaN.
    if span > 0.0 && high > model_high + span {
        most = model_high + 0.1 * span;
    }
    if span > 0.0 && low < model_low - span {
        least = model_low - 0.1 * span;
    }
    // `min` and `max` pass over NaN.
    ColourScale::sequential(least.min(model_low), most.max(model_high))
}

/// The defocus as people write it, in millimetres.
fn defocus(map: &BeamMap) -> String {
    if !map.defocus.is_finite() {
        return "dz unknown".into();
    }
    let text = format!("{:.3}", map.defocus * 1e3);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" | "0" => "dz = 0 mm".into(),
        text => format!("dz = {text} mm"),
    }
}

/// Object, wavelength and elevation, where they are known, and how many maps there are.
fn about(maps: &MapSet, wavelength: Option<f64>) -> String {
    let mut parts = Vec::new();
    parts.extend(maps.object.clone().filter(|name| !name.is_empty()));
    parts.extend(wavelength.filter(|w| w.is_finite()).map(show_length));
    let elevation = maps.elevation.filter(|e| e.is_finite());
    parts.extend(elevation.map(|e| format!("elevation {:.1}°", e.to_degrees())));
    let count = maps.maps.len();
    parts.push(match count {
        1 => "1 map".into(),
        n if n > MOST_MAPS => format!("the first {MOST_MAPS} of {n} maps"),
        n => format!("{n} maps"),
    });
    parts.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fit::result::*;
    use crate::optics::beam_map::{Sampling, Sigma};
    use ndarray::Array2;

    /// A fit of `count` maps without parameters and without images.
    pub fn result(count: usize) -> FitResult {
        let map = MapSummary {
            name: "MINUS".into(),
            defocus_m: -0.027,
            shift_m: None,
            samples: 16,
            blanks: 0,
            peak: 2.0,
            residual_rms: 0.02,
            residual_rms_over_peak: 0.01,
            scale: 0.01,
        };
        FitResult {
            telescope: "srt".into(),
            wavelength_m: 0.0135,
            order: 5,
            illumination: "pedestal".into(),
            likelihood: LikelihoodSummary { kind: "cauchy".into(), scale: 0.01, fitted: false },
            status: "converged".into(),
            negative_log_likelihood: 1.0,
            maps: vec![map; count],
            surface: SurfaceSummary {
                phase_rms_rad: 0.3,
                surface_rms_m: 3.2e-4,
                ruze_efficiency: 0.91,
                ..SurfaceSummary::default()
            },
            ..FitResult::default()
        }
    }

    fn map(columns: usize, rows: usize, value: impl Fn(usize) -> f64) -> BeamMap {
        let axis = |n: usize| (0..n).map(|i| (i as f64 - n as f64 / 2.0) * 1e-5).collect();
        BeamMap {
            name: "MINUS OOF".into(),
            defocus: -0.027,
            sampling: Sampling::Raster { u: axis(columns), v: axis(rows) },
            power: (0..columns * rows).map(value).collect(),
            sigma: Sigma::Unknown,
        }
    }

    fn set(maps: Vec<BeamMap>) -> MapSet {
        MapSet { maps, ..MapSet::default() }
    }

    fn size(png: &[u8]) -> (i64, i64) {
        let decoder = png::Decoder::new(std::io::Cursor::new(png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (i64::from(info.width), i64::from(info.height))
    }

    #[test]
    fn a_page_has_a_row_a_map_and_one_for_the_aperture() {
        // A square panel: title, picture, and the ticks and two lines of the axis.
        let (panel, width) = (26 + 260 + 40, 1436);
        let tall = |rows: i64| 2 * MARGIN + HEADING + rows * panel + (rows - 1).max(0) * GUTTER;
        for count in [0, 1, 4] {
            let maps = set(vec![map(4, 4, |i| i as f64); count]);
            let page = fit_page(&result(count), &maps);
            assert_eq!(size(&page), (width, tall(count as i64 + 1)));
            let page = maps_page(&maps);
            assert_eq!(size(&page), (width, tall(count.div_ceil(3) as i64)));
        }
    }

    #[test]
    fn equal_inputs_give_equal_bytes() {
        let maps = set(vec![map(30, 20, |i| (i as f64).sin()); 2]);
        let mut result = result(2);
        result.images.phase = Array2::from_elem((8, 8), 0.1);
        assert_eq!(fit_page(&result, &maps), fit_page(&result, &maps));
        assert_eq!(maps_page(&maps), maps_page(&maps));
    }

    #[test]
    fn the_values_of_a_map_are_seen_on_the_page() {
        let flat = maps_page(&set(vec![map(4, 4, |_| 1.0)]));
        let sloped = maps_page(&set(vec![map(4, 4, |i| i as f64)]));
        assert_ne!(flat, sloped);
    }

    #[test]
    fn degenerate_input_still_makes_a_page() {
        let odd = [
            map(0, 0, |_| 0.0),
            map(1, 1, |_| 5.0),
            map(1, 7, |_| -5.0),
            map(4, 4, |_| f64::NAN),
            map(4, 4, |_| 0.0),
            map(4, 4, |i| if i == 3 { f64::INFINITY } else { 1e308 }),
            map(4, 4, |_| 1e-320),
            BeamMap {
                power: vec![1.0],
                defocus: f64::NAN,
                name: "x".repeat(500),
                ..map(4, 4, |_| 0.0)
            },
            BeamMap {
                sampling: Sampling::Scattered { u: vec![0.0; 5], v: vec![0.0; 3] },
                sigma: Sigma::Constant(1.0),
                ..map(1, 1, |_| 2.0)
            },
        ];
        let maps = set(odd.to_vec());
        size(&maps_page(&maps));
        size(&fit_page(&result(0), &maps));
        size(&fit_page(&result(12), &set(Vec::new())));
        let mut result = result(odd.len());
        result.telescope = "ü".repeat(900);
        result.status = String::new();
        result.wavelength_m = f64::NAN;
        result.likelihood.scale = f64::INFINITY;
        result.surface.surface_rms_m = f64::NAN;
        result.surface.surface_rms_sigma_m = Some(f64::NAN);
        result.surface.phase_rms_rad = f64::NAN;
        result.images = Images {
            amplitude: Array2::zeros((1, 1)),
            phase: Array2::from_elem((3, 0), 1.0),
            aperture_half_width_m: f64::NAN,
            model: vec![vec![f64::NAN; 3], vec![1.0], Vec::new()],
            ..Images::default()
        };
        size(&fit_page(&result, &maps));
    }

    #[test]
    fn a_glitch_does_not_darken_the_beam() {
        let picture = |high: f64| Picture {
            columns: 2,
            rows: 1,
            values: vec![0.0, high],
            x: (0.0, 1.0),
            y: (0.0, 1.0),
        };
        assert_eq!(shared_scale(&picture(1.2), &picture(1.0)).range(), (0.0, 1.2));
        assert_eq!(shared_scale(&picture(9.0), &picture(1.0)).range(), (0.0, 1.1));
        assert_eq!(shared_scale(&picture(0.5), &picture(1.0)).range(), (0.0, 1.0));
        assert_eq!(shared_scale(&picture(9.0), &picture(f64::NAN)).range(), (0.0, 9.0));
    }

    #[test]
    fn the_defocus_is_written_in_millimetres() {
        let at = |defocus| defocus_of(defocus);
        assert_eq!(at(-0.027), "dz = -27 mm");
        assert_eq!(at(0.0), "dz = 0 mm");
        assert_eq!(at(-1e-9), "dz = 0 mm");
        assert_eq!(at(0.0005), "dz = 0.5 mm");
        assert_eq!(at(0.1), "dz = 100 mm");
    }

    fn defocus_of(metres: f64) -> String {
        defocus(&BeamMap { defocus: metres, ..map(1, 1, |_| 0.0) })
    }
}
