//! What the sky sees of the dish: inside the rim, outside the shadows of sub-reflector and legs.
//!
//! A leg shadows a strip for the plane wave that comes in; where the converging wave from the
//! dish meets it again, further out, its shadow is a wedge: the strip *flares*.

/// The shadows on the dish, metres.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blockage {
    /// Radius of the sub-reflector's shadow; 0 for none.
    pub central_radius: f64,
    pub legs: Vec<Leg>,
}

/// The shadow of one leg: a strip from `start` to `end` along a direction from the dish's centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// Direction, radians from the x axis towards the y axis.
    pub angle: f64,
    pub half_width: f64,
    /// Distance from the centre where the shadow begins and ends; infinity is the rim.
    pub start: f64,
    pub end: f64,
    /// From here on the half-width grows by `flare` metres a metre; infinity for a plain strip.
    pub flare_from: f64,
    pub flare: f64,
}

impl Leg {
    /// Whether the leg, whose angle has this sine and cosine, shadows `(x, y)`.
    fn blocks(&self, (sin, cos): (f64, f64), x: f64, y: f64) -> bool {
        let (along, across) = (x * cos + y * sin, y * cos - x * sin);
        let width = self.half_width + self.flare * (along - self.flare_from).max(0.0);
        along >= self.start && along <= self.end && across.abs() < width
    }

    /// The shadow as convex quadrilaterals, cut at `radius` along the leg.
    fn outlines(&self, radius: f64) -> Vec<[(f64, f64); 4]> {
        let (sin, cos) = self.angle.sin_cos();
        let end = self.end.min(radius);
        let knee = self.flare_from.clamp(self.start, end.max(self.start));
        let width = |t: f64| self.half_width + self.flare * (t - self.flare_from).max(0.0);
        [(self.start, knee), (knee, end)]
            .into_iter()
            .filter(|(from, to)| to > from)
            .map(|(from, to)| {
                [(from, -1.0), (to, -1.0), (to, 1.0), (from, 1.0)].map(|(t, side)| {
                    let s = side * width(t);
                    (t * cos - s * sin, t * sin + s * cos)
                })
            })
            .collect()
    }
}

/// The open part of a dish, made ready for many questions.
#[derive(Debug, Clone)]
pub struct Opening {
    radius: f64,
    central_radius: f64,
    /// Each leg with the sine and cosine of its angle.
    legs: Vec<(Leg, (f64, f64))>,
    outlines: Vec<[(f64, f64); 4]>,
    /// Heights at which the outline of a horizontal cut has a kink, ascending.
    kinks: Vec<f64>,
}

/// Horizontal cuts through one pixel. Along a cut the open length is exact, between cuts midpoints.
const CUTS: usize = 32;

impl Opening {
    /// The open part of a dish of `radius` metres under `blockage`.
    pub fn new(radius: f64, blockage: &Blockage) -> Opening {
        let legs = blockage.legs.iter();
        let outlines: Vec<_> = legs.clone().flat_map(|leg| leg.outlines(radius)).collect();
        let central = blockage.central_radius;
        let mut kinks = vec![-radius, radius, -central, central];
        kinks.extend(outlines.iter().flatten().map(|corner| corner.1));
        kinks.sort_by(f64::total_cmp);
        kinks.dedup();
        Opening {
            radius,
            central_radius: central,
            legs: legs.map(|leg| (*leg, leg.angle.sin_cos())).collect(),
            outlines,
            kinks,
        }
    }

    /// Whether the point `(x, y)`, metres, is inside the rim and not in a shadow.
    pub fn open(&self, x: f64, y: f64) -> bool {
        let r2 = x * x + y * y;
        let central = self.central_radius;
        r2 < self.radius * self.radius
            && (central == 0.0 || r2 > central * central)
            && !self.legs.iter().any(|(leg, turn)| leg.blocks(*turn, x, y))
    }

    /// The open fractions of a row of square pixels of side `step` whose centres are at height `y`;
    /// the first pixel's left edge is at `left`. Metres.
    pub fn row(&self, y: f64, step: f64, left: f64, fractions: &mut [f64]) {
        fractions.fill(0.0);
        let (bottom, top) = (y - 0.5 * step, y + 0.5 * step);
        let first = self.kinks.partition_point(|&k| k <= bottom);
        let last = self.kinks.partition_point(|&k| k < top);
        let inner = self.kinks.get(first..last).unwrap_or_default();
        let mut open = Vec::new();
        let mut from = bottom;
        for &to in inner.iter().chain([&top]) {
            let share = (to - from) / step;
            let cuts = (CUTS as f64 * share).ceil().max(1.0);
            // Cosine spacing: a chord ends like a square root at the top of a circle, a kink, and
            // evenly spaced midpoints would lose most of their digits there.
            let place = |i: f64| 0.5 - 0.5 * (std::f64::consts::PI * i / cuts).cos();
            for i in 0..cuts as usize {
                let i = i as f64;
                self.cut(from + (to - from) * place(i + 0.5), &mut open);
                let weight = share * (place(i + 1.0) - place(i));
                for &(a, b) in &open {
                    cover(fractions, (a - left) / step, (b - left) / step, weight);
                }
            }
            from = to;
        }
        for fraction in fractions {
            // The shares of a fully open pixel add up to 1 but for rounding.
            let rounded = fraction.round();
            if (*fraction - rounded).abs() < 1e-12 {
                *fraction = rounded;
            }
        }
    }

    /// The open intervals of the horizontal line at height `y`, left to right.
    fn cut(&self, y: f64, open: &mut Vec<(f64, f64)>) {
        open.clear();
        let chord = |radius: f64| (radius * radius - y * y).max(0.0).sqrt();
        let rim = chord(self.radius);
        if rim == 0.0 {
            return;
        }
        open.push((-rim, rim));
        let centre = chord(self.central_radius);
        remove(open, (-centre, centre));
        for outline in &self.outlines {
            remove(open, across(outline, y));
        }
    }
}

/// Where the line at height `y` is inside a convex outline; an empty interval when nowhere.
fn across(outline: &[(f64, f64); 4], y: f64) -> (f64, f64) {
    let mut inside = (f64::INFINITY, f64::NEG_INFINITY);
    for (i, &(x0, y0)) in outline.iter().enumerate() {
        let (x1, y1) = outline[(i + 1) % 4];
        if (y0 <= y) != (y1 <= y) {
            let x = x0 + (x1 - x0) * (y - y0) / (y1 - y0);
            inside = (inside.0.min(x), inside.1.max(x));
        }
    }
    inside
}

/// Takes the interval `(a, b)` out of sorted disjoint intervals.
fn remove(open: &mut Vec<(f64, f64)>, (a, b): (f64, f64)) {
    if a >= b {
        return;
    }
    let mut i = 0;
    while i < open.len() {
        let (from, to) = open[i];
        if b <= from || a >= to {
            i += 1;
            continue;
        }
        open.remove(i);
        if b < to {
            open.insert(i, (b, to));
        }
        if from < a {
            open.insert(i, (from, a));
            i += 1;
        }
    }
}

/// Adds `share` to every pixel for the part of it between `a` and `b`, in pixels from the left.
fn cover(fractions: &mut [f64], a: f64, b: f64, share: f64) {
    let len = fractions.len() as f64;
    let (a, b) = (a.clamp(0.0, len), b.clamp(0.0, len));
    if a >= b {
        return;
    }
    // Both are within [0, len], so the casts are exact; b = len lies in no pixel.
    let (first, last) = (a as usize, b as usize);
    if first == last {
        fractions[first] += share * (b - a);
        return;
    }
    fractions[first] += share * ((first + 1) as f64 - a);
    for fraction in &mut fractions[first + 1..last] {
        *fraction += share;
    }
    if let Some(fraction) = fractions.get_mut(last) {
        *fraction += share * (b - last as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optics::golden;
    use crate::optics::telescope::Telescope;
    use proptest::prelude::*;

    fn four_legs(half_width: f64, end: f64) -> Blockage {
        let leg = |i: i32| Leg {
            angle: f64::from(i) * std::f64::consts::FRAC_PI_2,
            half_width,
            start: 0.0,
            end,
            flare_from: f64::INFINITY,
            flare: 0.0,
        };
        Blockage { central_radius: 2.0, legs: (0..4).map(leg).collect() }
    }

    /// The sum of the open fractions of a grid that covers the dish, times the pixel's area.
    fn area(opening: &Opening, pixels: usize) -> f64 {
        let step = 2.1 * opening.radius / pixels as f64;
        let left = -1.05 * opening.radius;
        let mut row = vec![0.0; pixels];
        let mut sum = 0.0;
        for i in 0..pixels {
            opening.row(left + (i as f64 + 0.5) * step, step, left, &mut row);
            sum += row.iter().sum::<f64>();
        }
        sum * step * step
    }

    /// The open fraction of one pixel about `(x, y)`.
    fn open_fraction(opening: &Opening, x: f64, y: f64, step: f64) -> f64 {
        let mut fraction = [0.0];
        opening.row(y, step, x - 0.5 * step, &mut fraction);
        fraction[0]
    }

    #[test]
    fn a_clear_dish_has_the_area_of_a_circle_even_on_a_coarse_grid() {
        let opening = Opening::new(6.0, &Blockage::default());
        let circle = std::f64::consts::PI * 36.0;
        // Midpoints lose 0.2 h^1.5 of the radius at top and bottom, h = 2.1/(16 x 10) here.
        assert!((area(&opening, 10) / circle - 1.0).abs() < 5e-4);
        assert!((area(&opening, 200) / circle - 1.0).abs() < 5e-6);
    }

    #[test]
    fn legs_take_their_area_once_where_they_overlap() {
        let opening = Opening::new(10.0, &four_legs(0.5, 8.0));
        // Disc of radius 2, and four strips of width 1 from the disc's edge to 8; each strip's
        // inner end is the disc's arc, whose cap beyond sqrt(4 - 1/4) is not the strip's.
        let (half, r): (f64, f64) = (0.5, 2.0);
        let cap = half * (r * r - half * half).sqrt() + r * r * (half / r).asin();
        let blocked = std::f64::consts::PI * 4.0 + 4.0 * (8.0 - cap);
        let open = std::f64::consts::PI * 100.0 - blocked;
        assert!((area(&opening, 150) / open - 1.0).abs() < 2e-5);
    }

    #[test]
    fn fractions_are_one_inside_and_zero_outside_and_in_shadow() {
        let opening = Opening::new(10.0, &four_legs(0.5, 8.0));
        assert_eq!(open_fraction(&opening, 4.0, 4.0, 0.3), 1.0);
        assert_eq!(open_fraction(&opening, 10.5, 0.0, 0.3), 0.0);
        assert_eq!(open_fraction(&opening, 0.3, 0.3, 0.3), 0.0);
        assert_eq!(open_fraction(&opening, 5.0, 0.1, 0.3), 0.0);
        // Half of the pixel is in a strip's shadow: exact across and along.
        assert!((open_fraction(&opening, 5.0, 0.5, 0.3) - 0.5).abs() < 1e-14);
        assert!((open_fraction(&opening, 0.5, 5.0, 0.3) - 0.5).abs() < 1e-14);
        assert!((open_fraction(&opening, 5.0, 0.53, 0.3) - 0.6).abs() < 1e-13);
    }

    #[test]
    fn a_turned_leg_shadows_what_it_shadowed_before() {
        let mut blockage = four_legs(0.5, 8.0);
        blockage.legs.truncate(1);
        blockage.legs[0].flare_from = 4.0;
        blockage.legs[0].flare = 0.2;
        let straight = Opening::new(10.0, &blockage);
        blockage.legs[0].angle = 1.0;
        let turned = Opening::new(10.0, &blockage);
        let (sin, cos) = 1f64.sin_cos();
        for (x, y, open) in
            [(5.0, 0.65, false), (5.0, 0.75, true), (3.0, 0.6, true), (8.5, 0.0, true)]
        {
            assert_eq!(straight.open(x, y), open, "{x} {y}");
            assert_eq!(turned.open(x * cos - y * sin, x * sin + y * cos), open, "{x} {y}");
        }
        assert!((area(&straight, 200) - area(&turned, 200)).abs() < 1e-5 * area(&straight, 200));
    }

    proptest! {
        #[test]
        fn a_fraction_is_the_mean_of_many_points(x in -12.0..12.0f64, y in -12.0..12.0f64, step in 0.1..3.0f64, angle in 0.0..6.3f64, flare in 0.0..0.4f64) {
            let mut blockage = four_legs(0.7, 9.0);
            for leg in &mut blockage.legs {
                leg.angle += angle;
                leg.flare_from = 5.0;
                leg.flare = flare;
            }
            let opening = Opening::new(10.0, &blockage);
            let n = 100;
            let at = |c: f64, i: i32| c + step * ((f64::from(i) + 0.5) / f64::from(n) - 0.5);
            let count = (0..n * n).filter(|k| opening.open(at(x, k % n), at(y, k / n))).count();
            let mean = count as f64 / f64::from(n * n);
            let fraction = open_fraction(&opening, x, y, step);
            prop_assert!((0.0..=1.0).contains(&fraction));
            // An edge moves the mean of points by up to about its length over n; six may cross.
            prop_assert!((fraction - mean).abs() < 0.03, "{} {}", fraction, mean);
        }
    }

    #[test]
    fn telescopes_are_open_where_numpy_finds_them_open() {
        let golden = golden::read("blockage.json");
        for case in golden["cases"].as_array().unwrap() {
            let telescope = Telescope::named(case["telescope"].as_str().unwrap()).unwrap();
            let opening = Opening::new(telescope.radius, &telescope.blockage);
            for sample in case["points"].as_array().unwrap() {
                let [x, y, open] = golden::triple(sample);
                assert_eq!(opening.open(x, y), open == 1.0, "{} {x} {y}", telescope.name);
            }
            let tolerance = case["tolerance"].as_f64().unwrap();
            let step = case["step_m"].as_f64().unwrap();
            for sample in case["fractions"].as_array().unwrap() {
                let [x, y, known] = golden::triple(sample);
                let fraction = open_fraction(&opening, x, y, step);
                assert!((fraction - known).abs() < tolerance, "{x} {y}: {fraction} {known}");
            }
        }
    }
}
