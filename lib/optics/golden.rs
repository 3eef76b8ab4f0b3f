//! Reads the reference numbers of `testdata/golden`, which `scripts/golden.py` makes with NumPy.

use super::aperture::{Aperture, ApertureGrid, ApertureKind};
use super::illumination::Illumination;
use super::telescope::Telescope;
use ndarray::Array3;
use serde_json::Value;

fn file(name: &str) -> String {
    format!("{}/testdata/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The JSON file `name`.
pub fn read(name: &str) -> Value {
    let path = file(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Three numbers.
pub fn triple(value: &Value) -> [f64; 3] {
    numbers(value).try_into().unwrap()
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// One whole model: what goes in, the maps that come out, likelihoods and gradients.
pub struct Model {
    pub telescope: Telescope,
    pub grid: ApertureGrid,
    pub wavelength: f64,
    pub defocus: Vec<f64>,
    pub order: u32,
    /// `grid`, `raster` or `scattered`.
    pub sampling: String,
    /// Axes of a grid or raster; one pair a sample where scattered.
    pub u: Vec<f64>,
    pub v: Vec<f64>,
    /// Every parameter, in the order of the gradients.
    pub names: Vec<String>,
    pub values: Vec<f64>,
    /// A row a map, in the order of the samples.
    pub maps: Vec<Vec<f64>>,
    pub data: Vec<Vec<f64>>,
    pub gaussian: Likelihood,
    pub cauchy: Likelihood,
}

pub struct Likelihood {
    pub scale: f64,
    pub value: f64,
    pub gradient: Vec<f64>,
}

impl Model {
    /// The names of all models.
    pub const ALL: [&'static str; 5] = ["paper", "effelsberg", "gbt", "alma", "tophat"];

    pub fn read(name: &str) -> Model {
        let case = read(&format!("model-{name}.json"));
        let number = |key: &str| case[key].as_f64().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let telescope = Telescope::named(case["telescope"].as_str().unwrap()).unwrap();
        let kind = Illumination::named(case["illumination"].as_str().unwrap()).unwrap();
        let grid = ApertureGrid {
            kind: ApertureKind::Hard,
            points: case["points"].as_u64().unwrap() as usize,
            extent: number("extent"),
        };
        let wavelength = number("wavelength_m");
        let sampling = text(&case["sampling"]["kind"]);
        let (u, v) = match sampling.as_str() {
            "grid" => {
                let n = grid.points;
                let step = wavelength / (n as f64 * grid.step(telescope.radius));
                let axis = (0..n).map(|j| (j as f64 - (n / 2) as f64) * step);
                (axis.clone().collect(), axis.collect())
            }
            _ => (numbers(&case["sampling"]["u"]), numbers(&case["sampling"]["v"])),
        };
        let maps = |key: &str| match &case[key] {
            Value::Null => {
                let cube: Array3<f64> =
                    ndarray_npy::read_npy(file(&format!("{name}-{key}.npy"))).unwrap();
                let maps = cube.outer_iter();
                maps.map(|map| map.iter().copied().collect()).collect()
            }
            rows => rows.as_array().unwrap().iter().map(numbers).collect(),
        };
        let likelihood = |key: &str| Likelihood {
            scale: case["likelihoods"][key]["scale"].as_f64().unwrap(),
            value: case["likelihoods"][key]["value"].as_f64().unwrap(),
            gradient: numbers(&case["likelihoods"][key]["gradient"]),
        };
        Model {
            telescope: telescope.with_illumination(kind),
            grid,
            wavelength,
            defocus: numbers(&case["defocus_m"]),
            order: case["order"].as_u64().unwrap() as u32,
            sampling,
            u,
            v,
            names: case["names"].as_array().unwrap().iter().map(text).collect(),
            values: numbers(&case["values"]),
            maps: maps("model"),
            data: maps("data"),
            gaussian: likelihood("gaussian"),
            cauchy: likelihood("cauchy"),
        }
    }

    /// The value of a parameter by its name.
    pub fn value(&self, name: &str) -> f64 {
        let place = self.names.iter().position(|n| n == name);
        self.values[place.unwrap_or_else(|| panic!("no parameter {name}"))]
    }

    /// `(u, v)` of every sample, in order.
    pub fn samples(&self) -> Vec<(f64, f64)> {
        match self.sampling.as_str() {
            "scattered" => self.u.iter().copied().zip(self.v.iter().copied()).collect(),
            _ => self.v.iter().flat_map(|&v| self.u.iter().map(move |&u| (u, v))).collect(),
        }
    }
}

#[test]
fn a_direct_sum_over_the_dish_gives_numpys_maps() {
    use super::zernike;
    use std::f64::consts::TAU;
    for name in Model::ALL {
        let model = Model::read(name);
        let telescope = &model.telescope;
        let aperture = Aperture::new(telescope, model.grid).unwrap();
        let table = zernike::table(model.order, &aperture.points());
        let z: Vec<f64> =
            (0..zernike::count(model.order)).map(|j| model.value(&format!("z{j}"))).collect();
        let lit: Vec<f64> =
            telescope.illumination.parameters().iter().map(|p| model.value(p.name)).collect();
        let k = TAU / model.wavelength;
        let points = aperture.points();
        let peak = model.maps.iter().flatten().copied().fold(0.0, f64::max);
        for (i, (&dz, known)) in model.defocus.iter().zip(&model.maps).enumerate() {
            let value = |parameter: &str| model.value(&format!("{parameter}[{i}]"));
            let field: Vec<(f64, f64)> = (0..aperture.len())
                .map(|p| {
                    let (x, y) = points[p];
                    let phase: f64 = z.iter().zip(table.column(p)).map(|(c, z)| c * z).sum();
                    let path = dz * telescope.path.per_metre(aperture.x[p], aperture.y[p]);
                    let amplitude = telescope.illumination.amplitude(&lit, x, y);
                    (aperture.weight[p] * amplitude, phase + k * path)
                })
                .collect();
            assert_eq!(known.len(), model.samples().len());
            for ((u, v), known) in model.samples().into_iter().zip(known) {
                let (u, v) = (u - value("dx"), v - value("dy"));
                let (mut re, mut im) = (0.0, 0.0);
                for (p, (amplitude, phase)) in field.iter().enumerate() {
                    let turn = phase - k * (u * aperture.x[p] + v * aperture.y[p]);
                    re += amplitude * turn.cos();
                    im += amplitude * turn.sin();
                }
                let power = (re * re + im * im) * aperture.area_factor().powi(2);
                let mine = value("gain") * power + value("background");
                // Phases of up to a few hundred radians: 1e-13 of the field.
                assert!((mine - known).abs() < 1e-12 * peak, "{name}: {mine} {known}");
            }
        }
    }
}

#[test]
fn likelihoods_are_the_stated_sums_and_slope_with_the_background_as_they_must() {
    for name in Model::ALL {
        let model = Model::read(name);
        let gaussian = |r: f64| (r * r / 2.0, r);
        let cauchy = |r: f64| (r.mul_add(r, 1.0).ln(), 2.0 * r / (1.0 + r * r));
        check(&model, &model.gaussian, gaussian);
        check(&model, &model.cauchy, cauchy);
    }
    fn check(model: &Model, likelihood: &Likelihood, term: impl Fn(f64) -> (f64, f64)) {
        assert_eq!(likelihood.gradient.len(), model.names.len());
        let mut sum = 0.0;
        for (i, (map, data)) in model.maps.iter().zip(&model.data).enumerate() {
            let mut slope = 0.0;
            for (m, d) in map.iter().zip(data) {
                let (value, derivative) = term((m - d) / likelihood.scale);
                sum += value;
                slope += derivative / likelihood.scale;
            }
            let background = format!("background[{i}]");
            let place = model.names.iter().position(|n| *n == background).unwrap();
            let known = likelihood.gradient[place];
            // Up to 1024 terms, whose sizes add up to less than 1024/scale.
            let tolerance = 1024.0 / likelihood.scale * 10.0 * f64::EPSILON;
            assert!((slope - known).abs() < tolerance, "{background}: {slope} {known}");
        }
        assert!((sum / likelihood.value - 1.0).abs() < 1e-12);
    }
}
