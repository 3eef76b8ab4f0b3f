//! One heat map with its title, axes and colour bar.

use super::canvas::{Canvas, GREY, INK, Rgb, WHITE};
use super::colour::{ColourScale, extremes};
use super::picture::Picture;
use super::text::Face;
use super::ticks::{ends, labels, ticks};
use crate::units::ARC_SECOND;

/// The longest side of a picture, pixels.
pub const SIDE: usize = 260;
/// A panel's outer width, pixels.
pub const WIDTH: i64 = LEFT + SIDE as i64 + RIGHT;

const LINE: i64 = Face::Body.height();
const LETTER: i64 = Face::Body.width();
/// From a frame to the end of a tick, and from there to its label.
const TICK: i64 = 5;
const GAP: i64 = 4;
/// Room for a tick's label beside the colour bar, `-1.25e-5`, and beside the y axis.
const LABEL: i64 = 8 * LETTER;
const AXIS_LABEL: i64 = 6 * LETTER;
const BAR: i64 = 14;
const BAR_GAP: i64 = 14;

const TOP: i64 = LINE + 10;
/// Room left of the picture: axis name, tick labels, ticks.
const LEFT: i64 = LINE + GAP + AXIS_LABEL + GAP + TICK;
/// Room right of it: colour bar, ticks, labels, unit.
const RIGHT: i64 = BAR_GAP + BAR + TICK + GAP + LABEL + GAP + LINE;
/// Room below it: ticks, labels, axis name.
const BOTTOM: i64 = TICK + 1 + LINE + 2 + LINE;

/// What an axis is called, and its unit's name and size in the picture's own unit.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    pub name: &'static str,
    pub unit: &'static str,
    pub size: f64,
}

impl Axis {
    /// A sky offset in the unit that suits a map which reaches `extent` radians from its centre.
    pub fn sky(name: &'static str, extent: f64) -> Self {
        let (unit, size) = match extent / ARC_SECOND {
            x if x < 1.0 => ("mas", 1e-3 * ARC_SECOND),
            x if x < 200.0 => ("arcsec", ARC_SECOND),
            x if x < 12_000.0 => ("arcmin", 60.0 * ARC_SECOND),
            _ => ("deg", 3600.0 * ARC_SECOND),
        };
        Axis { name, unit, size }
    }

    /// A position on the dish.
    pub fn dish(name: &'static str) -> Self {
        Axis { name, unit: "m", size: 1.0 }
    }
}

/// A heat map. Text that is too long for its place is clipped.
#[derive(Debug, Clone)]
pub struct Panel {
    /// In bold, and what follows it in plain letters.
    pub title: String,
    pub note: String,
    /// No larger than [`SIDE`] either way: see [`Picture::fitted`].
    pub picture: Picture,
    pub scale: ColourScale,
    pub x: Axis,
    pub y: Axis,
    /// Beside the colour bar.
    pub unit: &'static str,
}

impl Panel {
    /// How much of the page it takes from top to bottom, pixels; from left to right it is [`WIDTH`].
    pub fn height(&self) -> i64 {
        TOP + self.picture.rows as i64 + BOTTOM
    }

    /// Draws the panel with its top left corner at `(x, y)`.
    pub fn draw(&self, canvas: &mut Canvas, x: i64, y: i64) {
        let (left, top) = (x + LEFT, y + TOP);
        self.draw_title(canvas, left, y);
        let (width, height) = (self.picture.columns as i64, self.picture.rows as i64);
        self.draw_picture(canvas, left, top);
        self.draw_x_axis(canvas, left, top + height);
        self.draw_y_axis(canvas, left, top);
        self.draw_bar(canvas, left + width + BAR_GAP, top, height);
    }

    fn draw_title(&self, canvas: &mut Canvas, left: i64, top: i64) {
        let room = WIDTH - LEFT;
        // A long title leaves the note up to half of the line.
        let kept = Face::Body.span(&self.note).min(room / 2) + 2 * LETTER;
        let title = Face::Bold.clip(&self.title, room - kept);
        canvas.text(left, top, &title, Face::Bold, INK);
        let indent = Face::Bold.span(&title) + 2 * LETTER;
        let note = Face::Body.clip(&self.note, room - indent);
        canvas.text(left + indent, top, &note, Face::Body, GREY);
    }

    fn draw_picture(&self, canvas: &mut Canvas, left: i64, top: i64) {
        let width = self.picture.columns;
        // Row 0 has the least y, and is drawn last.
        let lines = self.picture.values.chunks(width.max(1)).rev().flatten();
        let colours: Vec<Rgb> = lines.map(|v| self.scale.colour(*v)).collect();
        canvas.image(left, top, width, &colours);
        let (width, height) = (width as i64, self.picture.rows as i64);
        canvas.frame(left, top, width, height, INK);
        if self.picture.is_blank() {
            let words = Face::Body.clip("no data", width);
            let x = left + (width - Face::Body.span(&words)) / 2;
            canvas.text(x, top + (height - LINE) / 2, &words, Face::Body, GREY);
        }
    }

    fn draw_x_axis(&self, canvas: &mut Canvas, left: i64, bottom: i64) {
        let width = self.picture.columns as i64;
        let (low, high) = scaled(self.picture.x, self.x.size);
        let (places, words) = roomy(low, high, width, |words| {
            words.iter().map(|w| Face::Body.span(w)).max().unwrap_or(0) + 2 * LETTER
        });
        let mut free = i64::MIN;
        for (place, label) in places.iter().zip(&words) {
            let x = left + pixel(*place, low, high, width);
            canvas.line((x, bottom), (x, bottom + TICK), INK);
            let at = x - Face::Body.span(label) / 2;
            if at >= free {
                canvas.text(at, bottom + TICK + 2, label, Face::Body, INK);
                free = at + Face::Body.span(label) + LETTER;
            }
        }
        let name = format!("{} [{}]", self.x.name, self.x.unit);
        let at = left + (width - Face::Body.span(&name)) / 2;
        canvas.text(at, bottom + TICK + LINE + 3, &name, Face::Body, GREY);
    }

    fn draw_y_axis(&self, canvas: &mut Canvas, left: i64, top: i64) {
        let height = self.picture.rows as i64;
        let (low, high) = scaled(self.picture.y, self.y.size);
        let (places, words) = roomy(low, high, height, |_| 2 * LINE);
        let mut widest = 0;
        for (place, label) in places.iter().zip(&words) {
            let y = top + height - 1 - pixel(*place, low, high, height);
            canvas.line((left - 1 - TICK, y), (left - 1, y), INK);
            let label = Face::Body.clip(label, AXIS_LABEL);
            let span = Face::Body.span(&label);
            widest = widest.max(span);
            let at = left - 1 - TICK - GAP - span;
            canvas.text(at, y - LINE / 2, &label, Face::Body, INK);
        }
        let name = format!("{} [{}]", self.y.name, self.y.unit);
        let x = left - 1 - TICK - GAP - widest - GAP - LINE;
        let bottom = top + (height + Face::Body.span(&name)) / 2;
        canvas.text_upwards(x, bottom, &name, Face::Body, GREY);
    }

    fn draw_bar(&self, canvas: &mut Canvas, left: i64, top: i64, height: i64) {
        let (low, high) = self.scale.range();
        for row in 0..height {
            let part = (height - 1 - row) as f64 / (height - 1).max(1) as f64;
            let colour = self.scale.colour(low + part * (high - low));
            canvas.rect(left, top + row, BAR, 1, colour);
        }
        canvas.frame(left, top, BAR, height, INK);
        let (least, greatest) = extremes(&self.picture.values);
        // A pointed end says that there are values beyond it. Averages may exceed by a rounding.
        let slack = 1e-9 * (high - low);
        if greatest > high + slack {
            point(canvas, left, top - 1, -1, self.scale.colour(high));
        }
        if least < low - slack {
            point(canvas, left, top + height, 1, self.scale.colour(low));
        }
        let (places, words) = roomy(low, high, height, |_| 2 * LINE + 4);
        let spans = words.iter().map(|w| Face::Body.span(w));
        let widest = spans.max().unwrap_or(0).min(LABEL);
        let right = left + BAR + TICK + GAP + widest;
        for (place, label) in places.iter().zip(&words) {
            let y = top + height - 1 - pixel(*place, low, high, height);
            canvas.line((left + BAR, y), (left + BAR + TICK - 1, y), INK);
            let label = Face::Body.clip(label, LABEL);
            let at = right - Face::Body.span(&label);
            canvas.text(at, y - LINE / 2, &label, Face::Body, INK);
        }
        let unit = Face::Body.clip(self.unit, height);
        let bottom = top + (height + Face::Body.span(&unit)) / 2;
        canvas.text_upwards(right + GAP, bottom, &unit, Face::Body, GREY);
    }
}

/// A triangle on the end of a colour bar, in the direction of `way`.
fn point(canvas: &mut Canvas, left: i64, base: i64, way: i64, colour: Rgb) {
    canvas.rect(left, base, BAR, 1, WHITE);
    for step in 0..=BAR / 2 {
        let y = base + way * step;
        canvas.rect(left + step, y, BAR - 2 * step, 1, colour);
        canvas.dot(left + step - 1, y, INK);
        canvas.dot(left + BAR - step, y, INK);
    }
}

fn scaled((low, high): (f64, f64), size: f64) -> (f64, f64) {
    (low / size, high / size)
}

/// The pixel, counted from the low end of `length` pixels, that a value falls into.
fn pixel(value: f64, low: f64, high: f64, length: i64) -> i64 {
    let part = (value - low) / (high - low);
    ((part * length as f64) as i64).clamp(0, (length - 1).max(0))
}

/// As many ticks with labels, up to seven, as stay `need(labels)` pixels apart on `length`.
fn roomy(
    low: f64,
    high: f64,
    length: i64,
    need: impl Fn(&[String]) -> i64,
) -> (Vec<f64>, Vec<String>) {
    let rounds = (2..=7).rev().map(|most| ticks(low, high, most)).filter(|ticks| ticks.len() > 1);
    for places in rounds.chain([ends(low, high), ticks(low, high, 1)]) {
        let words = labels(&places);
        let apart = match places[..] {
            [a, b, ..] => (b - a) / (high - low) * length as f64,
            _ => f64::INFINITY,
        };
        if apart >= need(&words) as f64 {
            return (places, words);
        }
    }
    (Vec::new(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::colour::BLANK;
    use super::*;

    fn panel(picture: Picture, scale: ColourScale) -> Panel {
        Panel {
            title: "a title that is far too long to stand above one single panel of a page".into(),
            note: "and a note".into(),
            picture,
            scale,
            x: Axis::sky("u", 1e-4),
            y: Axis::sky("v", 1e-4),
            unit: "a unit whose name is so long that it would run over everything else there",
        }
    }

    /// The panel drawn well inside a canvas; whatever is not white must lie within its bounds.
    fn drawn(panel: &Panel) -> Canvas {
        let margin = 40;
        let (width, height) = (WIDTH + 2 * margin, panel.height() + 2 * margin);
        let mut canvas = Canvas::new(width as usize, height as usize);
        panel.draw(&mut canvas, margin, margin);
        for y in 0..height {
            for x in 0..width {
                let inside = (margin..margin + WIDTH).contains(&x)
                    && (margin..margin + panel.height()).contains(&y);
                assert!(inside || canvas.pixel(x, y) == Some(WHITE), "ink at {x} {y}");
            }
        }
        canvas
    }

    #[test]
    fn a_panel_stays_within_its_bounds_and_puts_up_at_the_top() {
        let values = [0.0, 0.25, 0.5, f64::NAN];
        let square = Picture {
            columns: 2,
            rows: 2,
            values: values.to_vec(),
            x: (-1e-4, 1e-4),
            y: (-1e-4, 1e-4),
        };
        let scale = ColourScale::sequential(0.1, 0.4);
        let canvas = drawn(&panel(square.fitted(SIDE), scale));
        let at = |x: i64, y: i64| canvas.pixel(40 + LEFT + x, 40 + TOP + y);
        assert_eq!(at(10, 250), Some(scale.colour(0.0)));
        assert_eq!(at(250, 250), Some(scale.colour(0.25)));
        assert_eq!(at(10, 10), Some(scale.colour(0.5)));
        assert_eq!(at(250, 10), Some(BLANK));
    }

    #[test]
    fn odd_pictures_stay_within_the_bounds_too() {
        for (x, y) in [(1.0, 900.0), (900.0, 1.0), (1e-9, 1e-9), (1e290, 1e290)] {
            for value in [0.0, 1.0, -1.234567e-7, 9.99999e12, 1e299, f64::NAN] {
                let picture =
                    Picture { columns: 1, rows: 1, values: vec![value], x: (-x, x), y: (-y, y) };
                for scale in [
                    ColourScale::sequential(value, value),
                    ColourScale::diverging(value * 1.2345),
                    ColourScale::sequential(1.0, 1.001),
                ] {
                    drawn(&panel(picture.fitted(SIDE), scale));
                }
            }
        }
    }

    #[test]
    fn the_unit_of_the_sky_suits_the_map() {
        let arcsec = 4.848_136_811_095_36e-6;
        let unit = |x: f64| Axis::sky("u", x * arcsec).unit;
        assert_eq!(unit(0.5), "mas");
        assert_eq!(unit(90.0), "arcsec");
        assert_eq!(unit(600.0), "arcmin");
        assert_eq!(unit(36_000.0), "deg");
        let size = Axis::sky("u", 90.0 * arcsec).size;
        assert!((size - arcsec).abs() < 1e-14 * arcsec);
    }
}
