//! `oof-fit`: maps in, surface out.

use super::example;
use super::input::InputArgs;
use super::program::or_dash;
use super::progress::ProgressLine;
use super::signal::Stop;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::fit::result::{FitResult, Seconds};
use crate::fit::{Progress, fit};
use crate::io::results::{write_csv, write_fits, write_json};
use crate::io::sink::{Content, Destination};
use crate::optics::beam_map::MapSet;
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
    /// Where the result goes: .json, .csv (parameters) or .fits (everything) [default: JSON on
    /// standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Draw observed, model and residual of each map, and the surface
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    pub plot: Option<PathBuf>,
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
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_deref().map(|e| e.to_string_lossy()).as_deref() {
            None | Some("json") => Ok(Format::Json),
            Some("csv") => Ok(Format::Csv),
            Some("fits" | "fit") => Ok(Format::Fits),
            Some(other) => Err(Error::usage(format!(
                "{}: unknown extension '{other}', expected .json, .csv or .fits",
                path.display()
            ))),
        }
    }
}

/// Whether two names are of one file that exists.
fn is_one_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => false,
    }
}

/// Where everything goes, checked.
struct Outputs {
    format: Format,
    result: Destination,
    plot: Option<Destination>,
}

impl Outputs {
    fn prepare(args: &FitArgs) -> Result<Self> {
        let path = or_dash(&args.output);
        if args.plot.as_ref() == Some(&path) {
            return Err(Error::usage(format!(
                "{}: given for the result and for the plot",
                path.display()
            )));
        }
        if let Some(plot) = &args.plot
            && plot.extension().is_some_and(|e| !e.eq_ignore_ascii_case("png"))
        {
            return Err(Error::usage(format!(
                "{}: pictures are PNG; name it .png",
                plot.display()
            )));
        }
        let outputs = [Some(&path), args.plot.as_ref()];
        if let Some(both) = args
            .input
            .maps
            .files()
            .find(|input| outputs.iter().flatten().any(|output| is_one_file(input, output)))
        {
            return Err(Error::usage(format!(
                "{}: given for the maps and for a result, which would replace them",
                both.display()
            )));
        }
        let format = Format::of(&path)?;
        let content = match format {
            Format::Fits => Content::Binary,
            _ => Content::Text,
        };
        let plot = args.plot.as_deref();
        Ok(Outputs {
            format,
            result: Destination::prepare(&path, content, args.force)?,
            plot: plot
                .map(|path| Destination::prepare(path, Content::Binary, args.force))
                .transpose()?,
        })
    }

    fn write(&self, result: &FitResult, maps: &MapSet, history: &[String]) -> Result<()> {
        let bytes = match self.format {
            Format::Json => write_json(result),
            Format::Csv => write_csv(result),
            Format::Fits => write_fits(result, maps, history),
        }?;
        if let Some(plot) = &self.plot {
            plot.write(&fit_page(result, maps))?;
        }
        self.result.write(&bytes)
    }
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
        let (result, maps) = measure(&args, backend)?;
        outputs.write(&result, &maps, history)?;
        match result.status.as_str() {
            "converged" => Ok(()),
            status => Err(Error::failed(format!("{status}: {}", result.message))),
        }
    })
}

fn measure(args: &FitArgs, backend: Backend) -> Result<(FitResult, MapSet)> {
    let begun = Instant::now();
    let mut input = args.input.read(None)?;
    input.options.errors = !args.no_errors;
    input.options.backend = backend;
    let read = begun.elapsed();
    let stop = Stop::listen()?;
    let mut line = ProgressLine::new("oof-fit", args.input.machine.quiet);
    let mut first = None;
    let mut progress = |at: &Progress| {
        first.get_or_insert_with(|| begun.elapsed());
        line.show(at);
        stop.check()
    };
    let mut result =
        fit(&input.telescope, input.wavelength, &input.maps, &input.options, &mut progress)?;
    stop.check()?;
    let total = begun.elapsed();
    let set_up = first.unwrap_or(read);
    result.seconds = args.timings.then(|| Seconds {
        read: read.as_secs_f64(),
        setup: set_up.saturating_sub(read).as_secs_f64(),
        minimise: total.saturating_sub(set_up).as_secs_f64(),
        total: total.as_secs_f64(),
    });
    Ok((result, input.maps))
}
