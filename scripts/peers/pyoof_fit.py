#!/usr/bin/env python3
"""Fit three beam maps with pyoof, as its users do, and print what it found as JSON.

    pyoof_fit.py srt FOLDER/srt [--illumination gauss] [--wide]
    pyoof_fit.py simulated FOLDER/pyoof-simulated.fits

pyoof is used as it is installed, through `pyoof.fit_beam`; everything that is not given to it here is its
default. It is of 2019, so two of its calls need the libraries of that time, which today's Python has not:
`yaml.load` without a loader, and `numpy.linspace` with a number of points that is not an integer. Both
are mended from outside, without a change to what it computes.
"""

import argparse
import contextlib
import functools
import json
import os
import sys
import tempfile

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy
import yaml

yaml.load = functools.partial(yaml.load, Loader=yaml.SafeLoader)

import pyoof  # noqa: E402
from astropy.io import ascii as tables  # noqa: E402

pyoof.aperture.phase.__defaults__ = (1000,)

# What pyoof's documentation and pyoof-srt's own settings have.
RESOLUTION, BOX_FACTOR, METHOD = 256, 5, "trf"

# In pyoof's order: amplitude, taper in dB, centre in metres, piston. By default the taper is at most -8 dB,
# which the maps of SRT end at, and the centre is fixed.
WIDE = {
    "params_bounds_min": [0, -25, -5, -5, -5],
    "params_bounds_max": [100000.0, 0, 5, 5, 5],
    "params_excluded": [0, 4],
    "params_fixed": [1.0, -13, 0, 0, 0],
    "params_init": [0.1, -15, 0, 0, 0],
}


def srt_maps(folder):
    """Name, u, v and power of the maps out of focus (minus), in focus, and out of focus (plus)."""
    names = ["110938-S0000-MAPPA_OUT1", "101052-S0000-MAPPA_IN", "112403-S0000-MAPPA_OUT2"]
    columns = [numpy.loadtxt(f"{folder}/20190426-{name}.txt", unpack=True) for name in names]
    u, v, power = ([column[i] for column in columns] for i in range(3))
    frequency = 22.23e9
    info = ["srt", None, "", "2019-04-26", frequency, 299792458.0 / frequency, [-0.027, 0.0, 0.027], 0.0]
    return info, [power, u, v]


def srt_telescope():
    """The Sardinia Radio Telescope as pyoof-srt has it: both foci, the sub-reflector's shadow, no legs
    (half a metre wide, they are thinner than a pixel of pyoof's aperture)."""
    radius = 32.004
    return [
        pyoof.telgeometry.block_manual(pr=radius, sr=3.953, a=0.0, L=0.0),
        pyoof.telgeometry.opd_manual(Fp=21.0236, F=149.76),
        radius,
        "srt",
    ]


def effelsberg():
    return [pyoof.telgeometry.block_effelsberg, pyoof.telgeometry.opd_effelsberg, 50.0, "effelsberg"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("case", choices=["srt", "simulated"])
    parser.add_argument("data")
    parser.add_argument("--illumination", choices=["gauss", "pedestal"], default="pedestal")
    parser.add_argument("--wide", action="store_true", help="wider limits, a free centre of the illumination")
    parser.add_argument("--order", type=int, default=5)
    options = parser.parse_args()
    if options.case == "srt":
        info, maps = srt_maps(options.data)
        telescope = srt_telescope()
    else:
        info, maps = pyoof.extract_data_pyoof(options.data)
        # FITS has its numbers in the order of bytes of another machine than most.
        maps = [[numpy.asarray(column, dtype=float) for column in columns] for columns in maps]
        telescope = effelsberg()
    illumination = {
        "gauss": pyoof.aperture.illum_gauss,
        "pedestal": pyoof.aperture.illum_pedestal,
    }[options.illumination]
    with tempfile.TemporaryDirectory() as scratch:
        info[1] = scratch
        settings = None
        if options.wide:
            settings = f"{scratch}/wide.yml"
            with open(settings, "w") as file:
                yaml.dump(WIDE, file)
        # Its words are for people; the result goes to standard output alone.
        with contextlib.redirect_stdout(sys.stderr):
            pyoof.fit_beam(
                data_info=info,
                data_obs=maps,
                method=METHOD,
                order_max=options.order,
                illum_func=illumination,
                telescope=telescope,
                resolution=RESOLUTION,
                box_factor=BOX_FACTOR,
                fit_previous=True,
                config_params_file=settings,
                make_plots=False,
                verbose=0,
            )
        folder = f"{scratch}/pyoof_out/{info[0]}-000"
        left = numpy.loadtxt(f"{folder}/res_n{options.order}.csv")
        found = tables.read(f"{folder}/fitpar_n{options.order}.csv")
        # A row and a column for each free parameter, and a row that numbers them.
        free = numpy.loadtxt(f"{folder}/cov_n{options.order}.csv").shape[1]
    values = [float(value) for value in found["parfit"]]
    json.dump(
        {
            # Of maps that are each 1 at their highest sample, both of them.
            "half_sum_of_squares": float(0.5 * (left**2).sum()),
            "residual_rms_over_peak": [float(value) for value in numpy.sqrt((left**2).mean(axis=1))],
            "taper_db": values[1],
            "waves": values[4:],
            "free": free,
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
