//! `oof-grad`: value and gradient of the negative log-likelihood, and their check.

use super::coefficients;
use super::example;
use super::input::InputArgs;
use super::parameter::check_in_fit;
use super::program::{extension, or_dash, unknown_extension};
use crate::device::{Backend, Precision};
use crate::error::{Error, Result};
use crate::fit::gradient::{GradientReport, GradientRow, gradient, graphviz};
use crate::fit::problem::LN_SCALE;
use crate::io::results::{self, FitFile};
use crate::io::sink::{self, Content, Destination};
use crate::units::Quantity;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Value and gradient of the negative log-likelihood of beam maps
///
/// Computes both at given parameters, a row a free parameter, all SI; compares the gradient with
/// central differences; adds second derivatives; or prints the recorded computation.
#[derive(Debug, Clone, Parser)]
#[command(name = "oof-grad", version, after_help = example::help("oof-grad"))]
pub struct GradArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Parameters of an earlier fit (JSON or FITS) to start from; --start overrides them
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub parameters: Option<PathBuf>,
    /// Compare with central differences; exit 1 where they differ by more than the tolerance
    #[arg(long, help_heading = "Gradient")]
    pub check: bool,
    /// Largest relative difference that --check lets pass [default: 1e-6; with --precision f32 1e-3]
    #[arg(long, value_name = "FRACTION", value_parser = tolerance, requires = "check",
          help_heading = "Gradient")]
    pub tolerance: Option<f64>,
    /// Add the second derivatives
    #[arg(long, help_heading = "Gradient")]
    pub hessian: bool,
    /// Print the recorded computation for Graphviz instead
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with_all = ["check", "hessian"],
          help_heading = "Gradient")]
    pub trace: Option<Trace>,
    /// Where the result goes: .json or .csv (rows only) [default: JSON on standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

/// A language for graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trace {
    Dot,
}

fn tolerance(text: &str) -> Result<f64> {
    Quantity::Number.above_zero(text)
}

#[derive(Serialize)]
struct Output<'a> {
    tool: &'static str,
    version: &'static str,
    backend: &'static str,
    negative_log_likelihood: f64,
    parameters: &'a [GradientRow],
    #[serde(skip_serializing_if = "Option::is_none")]
    hessian: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Check {
    largest_relative_error: f64,
    tolerance: f64,
    passed: bool,
}

/// Whether the rows are to be written as CSV.
fn is_csv(path: &Path) -> Result<bool> {
    match &*extension(path) {
        "" | "json" => Ok(false),
        "csv" => Ok(true),
        _ => Err(unknown_extension(path, ".json or .csv")),
    }
}

/// Runs `oof-grad`. Its outputs have no header for the history.
///
/// # Errors
/// Input and options that make no sense; and, after the result is written, a gradient that does not
/// pass the check.
pub fn run(args: GradArgs, _history: &[String]) -> Result<()> {
    let path = or_dash(&args.output);
    let csv = args.trace.is_none() && is_csv(&path)?;
    let inputs = args.input.files().chain(args.parameters.as_deref());
    sink::spare(inputs, std::iter::once(path.as_path()))?;
    let to = Destination::prepare(&path, Content::Text, args.force)?;
    if csv && args.hessian {
        return Err(Error::usage("a CSV file has no room for --hessian; write .json"));
    }
    let earlier = args.parameters.as_deref().map(FitFile::open).transpose()?;
    let backend = args.input.machine.backend("oof-grad")?;
    let pool = args.input.machine.pool()?;
    pool.install(|| work(&args, backend, earlier.as_ref(), csv, &to))
}

fn work(
    args: &GradArgs,
    backend: Backend,
    earlier: Option<&FitFile>,
    csv: bool,
    to: &Destination,
) -> Result<()> {
    let mut input = args.input.read("oof-grad", earlier)?;
    input.options.backend = backend;
    if input.options.choose_order {
        return Err(Error::usage("--order auto is for oof-fit; a gradient is of one order"));
    }
    if let Some(earlier) = earlier {
        let kept = |name: &str| input.options.fit_scale || name != LN_SCALE;
        let mut parameters = coefficients::at_wavelength(earlier, input.wavelength);
        // By their order where these are none of the maps that it fitted.
        let maps = &input.maps.maps;
        if earlier.maps.iter().any(|fitted| maps.iter().any(|map| fitted.is(map))) {
            parameters = coefficients::of_maps(parameters, &earlier.maps, maps);
        }
        for (name, _) in parameters.iter().filter(|p| p.0 != LN_SCALE) {
            check_in_fit(name, &input.options, &input.maps, input.telescope.illumination)?;
        }
        // What comes later wins.
        let given = std::mem::take(&mut input.options.edits.start);
        let start = parameters.into_iter();
        let start = start.filter(|(name, _)| kept(name) && given.iter().all(|g| g.0 != *name));
        input.options.edits.start = start.chain(given.iter().cloned()).collect();
    }
    if args.trace.is_some() {
        let graph = graphviz(input.setup())?;
        return to.write(graph.as_bytes());
    }
    let (check, hessian) = (args.check, args.hessian);
    let most = args.tolerance.unwrap_or(match input.options.precision {
        Precision::F64 => 1e-6,
        Precision::F32 => 1e-3,
    });
    let report = gradient(input.setup(), check, hessian)?;
    let worst = args.check.then(|| worst(&report.rows));
    let check = worst.map(|(_, error)| Check {
        largest_relative_error: error,
        tolerance: most,
        passed: error <= most,
    });
    let bytes = match csv {
        true => table(&report.rows)?,
        false => json(&report, backend, check)?,
    };
    to.write(&bytes)?;
    match (check, worst) {
        (Some(check), Some((name, error))) if !check.passed => Err(Error::failed(format!(
            "gradient and central difference of {name} differ by {error:.2e}, more than the tolerance of {:e}",
            most
        ))),
        _ => Ok(()),
    }
}

/// The parameter with the largest relative error, and the error. One that is no number is the largest.
fn worst(rows: &[GradientRow]) -> (&str, f64) {
    let errors = rows.iter().map(|row| {
        let error = row.relative_error.unwrap_or(f64::INFINITY);
        (row.name.as_str(), if error.is_nan() { f64::INFINITY } else { error })
    });
    errors.fold(("nothing", 0.0), |a, b| if b.1 > a.1 { b } else { a })
}

fn json(report: &GradientReport, backend: Backend, check: Option<Check>) -> Result<Vec<u8>> {
    check_finite(&report.rows)?;
    let output = Output {
        tool: "oof-grad",
        backend: backend.name(),
        version: env!("CARGO_PKG_VERSION"),
        negative_log_likelihood: report.negative_log_likelihood,
        parameters: &report.rows,
        hessian: report.hessian.as_ref().map(|h| h.outer_iter().map(|row| row.to_vec()).collect()),
        check,
    };
    results::pretty(&output)
}

fn table(rows: &[GradientRow]) -> Result<Vec<u8>> {
    check_finite(rows)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["name", "unit", "value", "gradient", "difference", "relative_error"];
    // Nothing free, nothing written.
    if !rows.is_empty() {
        writer.write_record(header).map_err(Error::unbuilt)?;
    }
    for r in rows {
        let row = (&r.name, &r.unit, r.value, r.gradient, r.difference, r.relative_error);
        writer.serialize(row).map_err(Error::unbuilt)?;
    }
    writer.into_inner().map_err(Error::unbuilt)
}

/// JSON would make a number that is not finite `null`.
fn check_finite(rows: &[GradientRow]) -> Result<()> {
    match rows.iter().find(|r| !(r.value.is_finite() && r.gradient.is_finite())) {
        Some(row) => Err(Error::failed(format!(
            "at {} = {} the gradient is {}; start elsewhere",
            row.name, row.value, row.gradient
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, relative_error: Option<f64>) -> GradientRow {
        GradientRow {
            name: name.into(),
            unit: "rad".into(),
            value: 0.5,
            gradient: 2.0,
            difference: Some(2.0),
            relative_error,
        }
    }

    #[test]
    fn the_worst_parameter_is_named_and_a_missing_number_is_the_worst() {
        assert_eq!(worst(&[row("a", Some(1e-9)), row("b", Some(1e-7))]), ("b", 1e-7));
        assert_eq!(worst(&[row("a", Some(f64::NAN)), row("b", Some(1.0))]).0, "a");
        assert_eq!(worst(&[row("a", Some(0.0))]).1, 0.0);
    }

    #[test]
    fn the_output_has_the_promised_keys() {
        let report = GradientReport {
            negative_log_likelihood: 3.0,
            rows: vec![row("z3", Some(1e-9))],
            hessian: Some(ndarray::arr2(&[[4.0]])),
        };
        let check = Check { largest_relative_error: 1e-9, tolerance: 1e-6, passed: true };
        let value = json(&report, Backend::Cpu, Some(check)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
        assert_eq!(value["tool"], "oof-grad");
        assert_eq!(value["parameters"][0]["gradient"], 2.0);
        assert_eq!(value["hessian"][0][0], 4.0);
        assert_eq!(value["check"]["passed"], true);
        let text = String::from_utf8(table(&report.rows).unwrap()).unwrap();
        assert_eq!(
            text,
            "name,unit,value,gradient,difference,relative_error\nz3,rad,0.5,2.0,2.0,1e-9\n"
        );
    }
}
