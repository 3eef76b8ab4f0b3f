"""The case that every implementation is given: the maps, and all that stays constant in a fit.

A case is a folder with two files:

  data.npy    maps, float64, (map, v, u)
  case.json   the telescope, the parameters' names, the starting point

Model (the front page of the library has the same): the aperture is sampled on `linspace(-extent R,
extent R, grid)` both ways and open where r < R; its field is

  E = amp exp(-((x - x0)^2 + (y - y0)^2) / (2 sigma^2)) exp(i (phase + 2 pi path / wavelength))

in dish radii, with `phase = sum z_j Z_j`, OSA/ANSI index, unnormalised, without z0; the path is prime-focus.
The beam is |FFT(E) dx dy / (pi R^2)|^2 with the centre of the sky at pixel grid // 2, and the negative
log-likelihood is `sum ln(1 + ((beam - data) / scale)^2)` over all pixels of all maps.
"""

import json
from dataclasses import dataclass
from math import factorial
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """A case as it is in its folder."""

    grid: int
    order: int
    radius_m: float
    focal_length_m: float
    wavelength_m: float
    extent: float
    defocus_m: list
    sigma: float
    scale: list
    parameters: list
    start: np.ndarray
    at: np.ndarray
    data: np.ndarray

    @staticmethod
    def load(folder):
        folder = Path(folder)
        text = json.loads((folder / "case.json").read_text())
        vectors = {name: np.array(text[name], float) for name in ("start", "at")}
        plain = {name: text[name] for name in Case.__dataclass_fields__
                 if name not in ("start", "at", "data")}
        case = Case(**plain, **vectors, data=np.load(folder / "data.npy"))
        expected = (len(case.defocus_m), case.grid, case.grid)
        if case.data.shape != expected:
            raise SystemExit(f"{folder}/data.npy: shape {case.data.shape}, expected {expected}")
        names = [f"z{j}" for j in range(1, count(case.order))] + ["x0", "y0", "amp"]
        if case.parameters != names:
            raise SystemExit(f"{folder}/case.json: parameters {case.parameters}, expected {names}")
        return case


@dataclass(frozen=True)
class Constants:
    """What does not change while a fit runs. `pixels` are those of the dish, or the whole grid."""

    pixels: np.ndarray  # (pixel,) index into the flat grid
    x: np.ndarray  # (pixel,) in dish radii
    y: np.ndarray
    zernikes: np.ndarray  # (term, pixel), z1 first; 0 off the dish
    # (map, pixel) exp(2 pi i path / wavelength) dx dy / (pi R^2) / sqrt(scale); 0 off the dish. With it
    # |FFT|^2 is the beam in units of the likelihood's scale, and so are the data.
    defocus: np.ndarray
    data: np.ndarray  # (map, v, u), centre of the sky at pixel 0, as the FFT has it


def constants(case, whole_grid=False):
    """Everything that can be computed once. `whole_grid` keeps pixels off the dish, with a mask."""
    step = 2 * case.extent / (case.grid - 1)
    line = (np.arange(case.grid) - (case.grid - 1) / 2) * step  # linspace, and symmetric to the last bit
    metres = line * case.radius_m
    inside = metres[:, None] ** 2 + metres**2 < case.radius_m**2
    dish = np.flatnonzero(inside)
    x, y = line[dish % case.grid], line[dish // case.grid]

    a2 = (x**2 + y**2) * (case.radius_m / (2 * case.focal_length_m)) ** 2
    path_per_metre = (1 - a2) / (1 + a2) - 1
    turns = np.outer(case.defocus_m, path_per_metre) / case.wavelength_m
    size = step**2 / np.pi / np.sqrt(np.array(case.scale))
    defocus = size[:, None] * np.exp(2j * np.pi * turns)
    terms = zernikes(case.order, x, y)

    scaled = case.data / np.array(case.scale)[:, None, None]
    data = np.ascontiguousarray(np.fft.ifftshift(scaled, axes=(1, 2)))
    if not whole_grid:
        return Constants(dish, x, y, terms, defocus, data)

    def spread(values):
        wide = np.zeros(values.shape[:-1] + (case.grid**2,), values.dtype)
        wide[..., dish] = values
        return wide

    every = np.arange(case.grid**2)
    return Constants(every, line[every % case.grid], line[every // case.grid],
                     spread(terms), spread(defocus), data)


def count(order):
    """How many Zernike polynomials there are up to radial order `order`, z0 included."""
    return (order + 1) * (order + 2) // 2


def zernikes(order, x, y):
    """z1, z2, ... up to radial order `order`: (term, pixel). `x`, `y` in dish radii."""
    r2, theta = x**2 + y**2, np.arctan2(y, x)
    r = np.sqrt(r2)
    terms = np.empty((count(order) - 1, len(x)))
    for n in range(1, order + 1):
        for l in range(-n, n + 1, 2):
            m = abs(l)
            radial = np.zeros_like(r)
            for k in range((n - m) // 2 + 1):  # Horner in r^2, the highest power first
                radial = radial * r2 + ((-1) ** k * factorial(n - k) / (
                    factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k)))
            radial *= r**m
            terms[(n * (n + 2) + l) // 2 - 1] = radial * (
                np.sin(m * theta) if l < 0 else np.cos(m * theta))
    return terms


def beams(case, values):
    """The model's maps at `values` with the sky's centre in the middle, in the data's unit."""
    c = constants(case)
    terms = len(c.zernikes)
    z, (x0, y0, amp) = values[:terms], values[terms:]
    field = amp * np.exp(-((c.x - x0) ** 2 + (c.y - y0) ** 2) / (2 * case.sigma**2)
                         + 1j * (z @ c.zernikes))
    maps = []
    for defocus, scale in zip(c.defocus, case.scale):
        aperture = np.zeros(case.grid**2, complex)
        aperture[c.pixels] = field * defocus
        sky = np.fft.fft2(aperture.reshape(case.grid, case.grid))
        maps.append(np.fft.fftshift(np.abs(sky) ** 2) * scale)
    return np.array(maps)
