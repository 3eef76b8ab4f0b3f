#!/usr/bin/env python3
"""Make a case of the benchmark without the library, to try the baselines on.

    make_case.py CASE_DIR --grid 128 --order 7 [--case cold|paper] [--seed 1]

The paper's telescope. `cold`: every Zernike coefficient is drawn with 0.3 rad, and the fit starts at
zero. `paper`: it starts at the truth. Noise: 1 % multiplicative and 2.4 % of each map's peak additive,
per pixel; the likelihood's scale is four times the latter.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from case import Case, beams, count

ADDITIVE, MULTIPLICATIVE = 0.024, 0.01


def make(folder, grid, order, kind="cold", seed=1, rms=0.3):
    rng = np.random.default_rng(seed)
    terms = count(order) - 1
    names = [f"z{j}" for j in range(1, terms + 1)] + ["x0", "y0", "amp"]
    truth = np.concatenate([rng.normal(0, rms, terms), [0.0, 0.0, 1.0]])
    start = np.concatenate([np.zeros(terms), [0.0, 0.0, 1.0]])
    case = Case(grid=grid, order=order, radius_m=2.8, focal_length_m=14.4, wavelength_m=1.1e-3,
                extent=4.0, defocus_m=[0.0, -0.05, 0.05], sigma=0.72, scale=[1.0] * 3,
                parameters=names, start=truth if kind == "paper" else start,
                at=truth + rng.normal(0, 0.05, len(truth)), data=np.empty(0))
    clean = beams(case, truth)
    peak = clean.max(axis=(1, 2))
    noise = rng.normal(0, 1, (2,) + clean.shape)
    data = clean * (1 + MULTIPLICATIVE * noise[0]) + ADDITIVE * peak[:, None, None] * noise[1]
    case = replace(case, scale=(4 * ADDITIVE * peak).tolist())

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "data.npy", data)
    text = {name: getattr(case, name) for name in Case.__dataclass_fields__ if name != "data"}
    text |= {"case": kind, "start": case.start.tolist(), "at": case.at.tolist(),
             "truth": truth.tolist()}
    (folder / "case.json").write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a case of the benchmark.")
    parser.add_argument("folder", metavar="CASE_DIR")
    parser.add_argument("--grid", type=int, default=128)
    parser.add_argument("--order", type=int, default=7)
    parser.add_argument("--case", choices=("cold", "paper"), default="cold")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    make(given.folder, given.grid, given.order, given.case, given.seed)
