//! # oof: out-of-focus holography by maximum likelihood
//!
//! A radio telescope's surface errors are found from beam maps taken in and out of focus: the
//! aperture phase that explains all the maps together is the surface. This library holds everything
//! behind the `oof-*` commands.
//!
//! ## A fit
//!
//! ```no_run
//! use oof::fit::{FitOptions, Setup, fit};
//! use oof::optics::telescope::Telescope;
//!
//! let maps = oof::io::fits::read_maps(&std::fs::read("maps.fits").unwrap(), "maps.fits")?;
//! let telescope = Telescope::named("gbt")?;
//! let options = FitOptions { order: 5, ..FitOptions::default() };
//! let result = fit(Setup::new(&telescope, &maps, &options), &mut |_| Ok(()))?;
//! println!("{}: {:.0} um", result.status, 1e6 * result.surface.surface_rms_m);
//! # Ok::<(), oof::Error>(())
//! ```
//!
//! From there to the machine: [`fit::fit`] goes through [`fit::level::levels`] and [`fit::search::search`], which
//! minimises ([`fit::stage::Stage::descend`]) the function that [`fit::problem::Problem::function`] records of
//! [`optics::model::Model`]; [`autodiff::Function`] differentiates and plans it, and a [`device::Executable`] runs it.
//!
//! ## The layers
//!
//! ```text
//! maps in -> [io] -> MapSet -> [optics] records the model -> [autodiff] graph -> [device] runs it
//!                                           [fit] likelihood, parameters, minimise, errors
//!         <- [io] <- FitResult <-----------/                                    [plot] pictures
//! ```
//!
//! A layer knows only those to its right in `cli | plot | io | fit | optics | autodiff | device`;
//! [`error`] and [`units`] are open to all. `autodiff` and `device` know nothing of telescopes and
//! serve any function: see `examples/`.
//!
//! ## Conventions (every tool, every file)
//!
//! * **Zernike polynomials**: OSA/ANSI index `j = (n(n+2)+l)/2` from 0, unnormalised Born & Wolf
//!   (`+-1` on the rim), `l < 0` is `sin |l| theta`, `l >= 0` is `cos l theta`. Coefficients `z0, z1,
//!   ...` are **radians of aperture phase**.
//! * **Surface**: half path, `surface = phase * wavelength / (4 pi)`; the wavefront is twice that.
//! * **Far field**: `S(u,v) = sum E(x,y) exp(-2 pi i (u x + v y)/wavelength) dx dy / (pi R^2)`,
//!   power `P = |S|^2`; `u, v` in radians on the sky, `x, y` in metres on the dish. Divided by the
//!   dish's area, so that a perfect, uniformly lit dish with `amp = 1` peaks at `P = 1`.
//! * **Defocus**: `E = B A exp(i (phase + 2 pi path(x,y;dz)/wavelength))`. A sub-reflector moved sideways
//!   adds its path to it, without the tilt, which each map's pointing offset has
//!   ([`optics::lateral`]).
//! * **Source and band**: a map is the beam's power convolved with the source, a disc of flux 1, and averaged
//!   over the band; the paths, not the phases, are the same at all wavelengths, and the coefficients are the
//!   phases at the central one.
//! * **Amplitude**: the illumination's, times `exp(a1 Z1 + a2 Z2 + ...)` where it has polynomials, so that it
//!   stays positive. Every map has the amplitude `sqrt(gain[i])` of its own.
//! * **Arrays** are row-major: `(map, v, u)` on the sky, `(y, x)` on the dish, x and u fastest. A
//!   sky grid of `n` pixels has its origin at pixel `n/2` (rounded down), counted from 0.
//! * **SI units** everywhere inside: metres, hertz, radians. Units on the command line and in
//!   telescope files are explicit.

pub mod error;
pub mod units;

pub mod device;

pub mod autodiff;

pub mod optics;

pub mod fit;

pub mod io;

pub mod plot;

pub mod cli;

pub use error::{Error, Result};
