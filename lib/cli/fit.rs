//! `oof-fit`: maps in, surface out.

use super::example;
use super::input::InputArgs;
use super::observation::positive_length;
use super::plot::check_picture;
use super::program::{extension, or_dash, say, unknown_extension};
use super::progress::ProgressLine;
use super::signal::Stop;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::fit::flags::Flag;
use crate::fit::options::Drawing;
use crate::fit::result::{FitResult, Seconds};
use crate::fit::{Progress, fit};
use crate::io::actuators::Actuators;
use crate::io::results::{
    write_csv, write_draws_csv, write_draws_npy, write_fits, write_json, write_zernikes,
};
use crate::io::sink::{self, Content, Destination};
use crate::io::source;
use crate::optics::beam_map::MapSet;
use crate::optics::convention::Convention;
use crate::plot::fit_page;
use clap::Parser;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Measure a radio telescope's surface from beam maps in and out of focus
///
/// Finds the aperture phase that explains all the maps together, by maximum likelihood, and with it
/// the surface, the illumination, and each map's pointing offset, gain and background. Prints the
/// result as JSON, all values SI. The maps must have known, different focus settings; on a symmetric
/// dish the sign of dz decides between the surface and its twin turned by half a turn.
#[derive(Debug, Clone, Parser)]
#[command(name = "oof-fit", version, after_help = example::help("oof-fit"))]
pub struct FitArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Where the result goes: .json, .csv (parameters), .fits (everything), .gbt.csv (coefficients in
    /// the GBT's order, micrometres of surface) or .pyoof.csv (in waves) [default: JSON on standard
    /// output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Draw observed, model and residual of each map, and the surface
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub plot: Option<PathBuf>,
    /// Positions of actuators, CSV with the columns x and y in metres: their corrections, minus the
    /// surface error, are written to --corrections
    #[arg(long, value_name = "FILE.csv", help_heading = "Output")]
    pub actuators: Option<PathBuf>,
    /// Where the corrections go: the same table with correction_um, sigma_um and clipped [default: beside
    /// the positions, NAME.corrections.csv]
    #[arg(long, value_name = "FILE.csv", requires = "actuators", help_heading = "Output")]
    pub corrections: Option<PathBuf>,
    /// The largest correction, such as 300um
    #[arg(long, value_name = "LENGTH", value_parser = positive_length, requires = "actuators",
          help_heading = "Output")]
    pub clip: Option<f64>,
    /// Draw N times from the posterior of the free parameters, by a gradient sampler of four chains (N is
    /// rounded up to a multiple of 4). Gaussian residuals of known noise, or of a fitted --scale, make it
    /// the posterior proper; cauchy at a given scale is made as wide as the errors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=1_000_000),
          conflicts_with = "no_errors", help_heading = "Posterior")]
    pub sample: Option<u32>,
    /// Seed of the draws: the same seed gives the same draws [default: 0]
    #[arg(long, value_name = "N", requires = "sample", help_heading = "Posterior",
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Where the draws go, a row each: .csv, or .npy without names; the result as .fits has them too
    #[arg(long, value_name = "FILE", requires = "sample", help_heading = "Posterior")]
    pub samples: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Add wall-clock times to the result, which is then never the same twice
    #[arg(long, help_heading = "Output")]
    pub timings: bool,
    /// Skip the errors of the parameters
    #[arg(long, help_heading = "Output")]
    pub no_errors: bool,
}

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Fits,
    Zernikes(Convention),
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".gbt.csv") {
            return Ok(Format::Zernikes(Convention::Gbt));
        }
        if name.ends_with(".pyoof.csv") {
            return Ok(Format::Zernikes(Convention::Pyoof));
        }
        match &*extension(path) {
            "" | "json" => Ok(Format::Json),
            "csv" => Ok(Format::Csv),
            "fits" | "fit" => Ok(Format::Fits),
            _ => Err(unknown_extension(path, ".json, .csv or .fits")),
        }
    }
}

/// The format of the draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrawFormat {
    Csv,
    Npy,
}

impl DrawFormat {
    fn of(path: &Path) -> Result<Self> {
        match &*extension(path) {
            "" | "csv" => Ok(DrawFormat::Csv),
            "npy" => Ok(DrawFormat::Npy),
            _ => Err(unknown_extension(path, ".csv or .npy for draws")),
        }
    }
}

/// Where everything goes, checked.
struct Outputs {
    format: Format,
    result: Destination,
    plot: Option<Destination>,
    corrections: Option<Destination>,
    draws: Option<(DrawFormat, Destination)>,
}

impl Outputs {
    fn prepare(args: &FitArgs) -> Result<Self> {
        let path = or_dash(&args.output);
        if args.corrections.is_none() && args.actuators.as_ref().is_some_and(|path| path == "-") {
            return Err(Error::usage(
                "--actuators from standard input; give --corrections FILE.csv too",
            ));
        }
        let corrections = args.corrections_path();
        let draws = args.samples.as_ref();
        let outputs = [Some(&path), args.plot.as_ref(), corrections.as_ref(), draws];
        let names = ["the result", "the plot", "the corrections", "the draws"];
        let named: Vec<_> = outputs.iter().zip(names).collect();
        // However the path is written.
        let same = |a: &Path, b: &Path| std::path::absolute(a).ok() == std::path::absolute(b).ok();
        for (i, (output, what)) in named.iter().enumerate() {
            let twice = named[..i].iter().find_map(|(other, before)| match (other, output) {
                (Some(a), Some(b)) if a == b || same(a, b) => Some((b, before)),
                _ => None,
            });
            if let Some((path, before)) = twice {
                let what = format!("{}: given for {before} and for {what}", path.display());
                return Err(Error::usage(what));
            }
        }
        args.plot.as_deref().map_or(Ok(()), check_picture)?;
        let inputs = args.input.files().chain(args.actuators.as_deref());
        sink::spare(inputs, outputs.into_iter().flatten().map(PathBuf::as_path))?;
        let format = Format::of(&path)?;
        let content = match format {
            Format::Fits => Content::Binary,
            _ => Content::Text,
        };
        let to = |path: &Path, content| Destination::prepare(path, content, args.force);
        Ok(Outputs {
            format,
            result: to(&path, content)?,
            plot: args.plot.as_deref().map(|path| to(path, Content::Binary)).transpose()?,
            corrections: corrections.map(|path| to(&path, Content::Text)).transpose()?,
            draws: draws
                .map(|path| {
                    let format = DrawFormat::of(path)?;
                    let content = match format {
                        DrawFormat::Csv => Content::Text,
                        DrawFormat::Npy => Content::Binary,
                    };
                    Ok((format, to(path, content)?))
                })
                .transpose()?,
        })
    }

    /// Whether there are maps in any of them.
    fn show_maps(&self) -> bool {
        self.format == Format::Fits || self.plot.is_some()
    }

    fn write(&self, result: &FitResult, maps: &MapSet, history: &[String]) -> Result<()> {
        let bytes = match self.format {
            Format::Json => write_json(result),
            Format::Csv => write_csv(result),
            Format::Fits => write_fits(result, maps, history),
            Format::Zernikes(convention) => {
                write_zernikes(result, convention).map(|table| warned(result, &table))
            }
        }?;
        if let Some(plot) = &self.plot {
            plot.write(&fit_page(result, maps))?;
        }
        if let (Some((format, to)), Some(posterior)) = (&self.draws, &result.posterior) {
            to.write(&match format {
                DrawFormat::Csv => write_draws_csv(posterior),
                DrawFormat::Npy => write_draws_npy(posterior),
            }?)?;
        }
        self.result.write(&bytes)
    }
}

/// What is wrong with a fit that did not converge.
fn trouble(result: &FitResult) -> Option<String> {
    (result.status != "converged").then(|| format!("{}: {}", result.status, result.message))
}

/// A telescope's table, after a comment that tells of trouble: whoever takes it alone must see that.
fn warned(result: &FitResult, table: &[u8]) -> Vec<u8> {
    let warning = trouble(result).map_or(String::new(), |why| format!("# {why}\n"));
    [warning.as_bytes(), table].concat()
}

/// Runs `oof-fit`. `history` is what the command line said, for the header of a FITS file.
///
/// # Errors
/// Input and options that make no sense; and, after the result is written, a fit that did not
/// converge.
pub fn run(args: FitArgs, history: &[String]) -> Result<()> {
    let outputs = Outputs::prepare(&args)?;
    let backend = args.input.machine.backend("oof-fit")?;
    let pool = args.input.machine.pool()?;
    pool.install(|| {
        let Measured { result, maps, actuators } = measure(&args, backend, outputs.show_maps())?;
        outputs.write(&result, &maps, history)?;
        if let (Some(actuators), Some(to)) = (&actuators, &outputs.corrections) {
            let corrections = actuators.correct(&result.images.shape, args.clip)?;
            to.write(&warned(&result, &corrections.csv))?;
            if corrections.clipped > 0 && !args.input.machine.quiet {
                let text = format!(
                    "{} of {} corrections are clipped",
                    corrections.clipped, corrections.actuators
                );
                say("oof-fit", &text);
            }
        }
        if let Some(power) = result.posterior.as_ref().map(|p| p.power).filter(|p| *p != 1.0)
            && !args.input.machine.quiet
        {
            let text = format!(
                "the draws are from the likelihood to the power of {power:.2}, as wide as the errors: {} at a given scale is no density of noise; see --likelihood gaussian",
                result.likelihood.kind
            );
            say("oof-fit", &text);
        }
        // A fit that did not converge has its own line.
        if !args.input.machine.quiet && result.status == "converged" {
            let flag = |flag: &Flag| say("oof-fit", &format!("{}: {}", flag.name, flag.reason));
            result.flags.iter().for_each(flag);
        }
        trouble(&result).map_or(Ok(()), |why| Err(Error::failed(why)))
    })
}

impl FitArgs {
    /// Where corrections go, if there are any.
    fn corrections_path(&self) -> Option<PathBuf> {
        let beside = |path: &PathBuf| path.with_extension("corrections.csv");
        self.corrections.clone().or(self.actuators.as_ref().map(beside))
    }
}

/// A result and what it is of.
struct Measured {
    result: FitResult,
    maps: MapSet,
    actuators: Option<Actuators>,
}

fn measure(args: &FitArgs, backend: Backend, models: bool) -> Result<Measured> {
    let begun = Instant::now();
    let mut input = args.input.read("oof-fit", None)?;
    input.options.errors = !args.no_errors;
    input.options.keep_models = models;
    input.options.sampling =
        args.sample.map(|draws| Drawing { draws: draws as usize, seed: args.seed.unwrap_or(0) });
    input.options.backend = backend;
    // Before the work, not after it, for what is wrong with the table.
    let actuators = args.actuators.as_deref().map(|path| {
        Actuators::read(&source::read(path)?, &source::name(path), input.telescope.radius)
    });
    let actuators = actuators.transpose()?;
    let read = begun.elapsed();
    let stop = Stop::listen()?;
    let mut line = ProgressLine::new("oof-fit", args.input.machine.quiet);
    let mut first = None;
    let mut progress = |at: &Progress| {
        first.get_or_insert_with(|| begun.elapsed());
        line.show(at);
        stop.check()
    };
    let mut result = fit(input.setup(), &mut progress)?;
    stop.check()?;
    let total = begun.elapsed();
    let set_up = first.unwrap_or(read);
    result.seconds = args.timings.then(|| Seconds {
        read: read.as_secs_f64(),
        setup: set_up.saturating_sub(read).as_secs_f64(),
        minimise: total.saturating_sub(set_up).as_secs_f64(),
        total: total.as_secs_f64(),
    });
    Ok(Measured { result, maps: input.maps, actuators })
}
