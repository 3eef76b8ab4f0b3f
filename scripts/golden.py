#!/usr/bin/env python3
"""Reference numbers for the tests, from a plain NumPy model that shares nothing with the library.

    python scripts/golden.py            writes testdata/golden/

Conventions (see the front page of the library):
  Zernike   OSA/ANSI index, unnormalised, coefficients in radians of aperture phase
  aperture  E = B A exp(i (phase + 2 pi path / wavelength))
  far field S(u, v) = sum E exp(-2 pi i (u x + v y) / wavelength) dx dy / (pi R^2),  P = |S|^2
  map i     gain[i] P(u - dx[i], v - dy[i]) + background[i]
  grids     hard: linspace(-extent R, extent R, n); sky pixel j of n is at (j - n // 2) du

The model is written twice: with complex numbers, as one would; and with pairs of reals, so that
the imaginary unit is free for the complex step, f'(x) = Im f(x + i h) / h, which is exact to
rounding. The two are compared.
"""

import json
from fractions import Fraction
from math import factorial
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "testdata" / "golden"
C = 299792458.0  # m/s
PI = np.pi


# ---------------------------------------------------------------- the dish


def modes(order):
    """(n, l) of z0, z1, ... up to radial order `order`."""
    return [(n, l) for n in range(order + 1) for l in range(-n, n + 1, 2)]


def radial_coefficients(n, m):
    """Integer coefficients of r^n, r^(n-2), ..., r^m in R_n^m."""
    return [
        (-1) ** k * factorial(n - k)
        // (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
        for k in range((n - m) // 2 + 1)
    ]


def zernike(n, l, x, y):
    """Zernike polynomial at (x, y) in dish radii."""
    m = abs(l)
    r, theta = np.hypot(x, y), np.arctan2(y, x)
    radial = sum(c * r ** (n - 2 * k) for k, c in enumerate(radial_coefficients(n, m)))
    return radial * (np.sin(m * theta) if l < 0 else np.cos(m * theta))


def zernike_exact(n, l, x, y):
    """The same in exact arithmetic; x and y are Fractions."""
    m = abs(l)
    re, im = Fraction(1), Fraction(0)  # (x + i y)^m = r^m exp(i m theta)
    for _ in range(m):
        re, im = re * x - im * y, re * y + im * x
    r2 = x * x + y * y
    half = (n - m) // 2
    radial = sum(c * r2 ** (half - k) for k, c in enumerate(radial_coefficients(n, m)))
    return radial * (im if l < 0 else re)


def illumination(kind, p, x, y):
    """Amplitude at (x, y) in dish radii."""
    if kind == "tophat":
        return p["amp"] * np.ones_like(x)
    dx, dy = x - p["x0"], y - p["y0"]
    r2 = dx**2 + dy**2
    if kind == "gaussian":
        r2 = r2 + p["rho"] * dx * dy + p["diff"] * (dx**2 - dy**2)
        return p["amp"] * np.exp(-r2 / (2 * p["sigma"] ** 2))
    if kind == "pedestal":
        c = 10 ** (p["taper"] / 20)
        inside = np.where(np.real(r2) < 1, 1 - r2, 0)
        return p["amp"] * (c + (1 - c) * inside ** p["q"])
    if kind == "squashed":
        g = np.exp(-r2 / p["sigma"] ** 2)
        return p["amp"] * np.sqrt(1 - (1 - g) ** 2)
    raise ValueError(kind)


def path(optics, x, y, dz):
    """Path difference in metres at (x, y) in metres."""
    kind = optics["kind"]
    if kind == "prime-focus":
        a = np.hypot(x, y) / (2 * optics["focal_length_m"])
        return dz * ((1 - a**2) / (1 + a**2) - 1)
    if kind == "two-mirror":
        a = np.hypot(x, y) / (2 * optics["primary_focal_length_m"])
        b = np.hypot(x, y) / (2 * optics["effective_focal_length_m"])
        return dz * ((1 - a**2) / (1 + a**2) + (1 - b**2) / (1 + b**2))
    if kind == "gbt":
        deg = PI / 180
        r1, r2 = np.hypot(x, 54 - y), np.hypot(x, y)
        t1, t2 = 2 * np.arctan(r1 / 120), 2 * np.arctan(r2 / 380)
        first = np.cos(36.7 * deg) * np.cos(t1) + np.sin(36.7 * deg) * np.sin(t1) * (54 - y) / r1
        second = np.cos(24.37 * deg) * np.cos(t2) - np.sin(24.37 * deg) * np.sin(t2) * y / r2
        return dz * first + dz * second
    raise ValueError(kind)


def is_open(telescope, x, y):
    """Whether the sky sees the dish at (x, y) in metres: arrays of booleans."""
    r = np.hypot(x, y)
    if telescope in ("nikolic2018", "gbt", "generic"):
        return r < {"nikolic2018": 2.8, "gbt": 50, "generic": 6}[telescope]
    if telescope in ("alma", "jcmt", "lmt"):
        outer, inner = {"alma": (6, 0.375), "jcmt": (7.5, 0.375), "lmt": (25, 1.3)}[telescope]
        return (r < outer) & (r > inner)
    if telescope == "srt":
        along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
        legs = ((abs(along) < 17.5) & (abs(across) < 0.25)) | (
            (abs(across) < 17.5) & (abs(along) < 0.25)
        )
        return (r < 32.004) & (r > 3.953) & ~legs
    if telescope == "effelsberg":
        # The wedge as pyoof draws it: from (A, a) to (C, a + d).
        R, a, A, alpha = 50.0, 1.0, 3.25 + 20.0, np.radians(10)
        csc2 = 1 / np.sin(alpha) ** 2
        d = (-a + np.sqrt(a**2 - (a**2 - R**2) * csc2)) / csc2
        slope = d / (d / np.tan(alpha) - A)
        shadow = np.zeros(np.shape(x), bool)
        for p, q in ((x, y), (y, x)):
            shadow |= (abs(p) < A) & (abs(q) < a)
            shadow |= (abs(p) >= A) & (abs(q) < a + (abs(p) - A) * slope)
        return (r < R) & (r > 3.25) & ~shadow
    raise ValueError(telescope)


# ---------------------------------------------------------------- the beam


def dish(case):
    """Open pixels of the case's hard grid: x and y in metres, and the pixel's size."""
    n, width = case["points"], case["extent"] * case["radius_m"]
    line = np.linspace(-width, width, n)
    x, y = np.meshgrid(line, line)
    inside = is_open(case["telescope"], x, y)
    return x[inside], y[inside], line[1] - line[0]


def sky(case):
    """u and v of every sample, flat, u fastest; all maps have the same."""
    s = case["sampling"]
    if s["kind"] == "scattered":
        return np.array(s["u"]), np.array(s["v"])
    if s["kind"] == "grid":  # the pixels of the aperture grid's discrete Fourier transform
        n = case["points"]
        step = dish(case)[2]
        u = v = (np.arange(n) - n // 2) * case["wavelength_m"] / (n * step)
    else:
        u, v = np.array(s["u"]), np.array(s["v"])
    uu, vv = np.meshgrid(u, v)
    return uu.ravel(), vv.ravel()


def unpack(case, values):
    """The parameter vector as a dictionary; z as a list."""
    p = dict(zip(case["names"], values))
    z = [p[f"z{j}"] for j in range(len(modes(case["order"])))]
    return p, z


def maps(case, values):
    """The model, as one writes it: (maps, samples)."""
    p, z = unpack(case, values)
    R, k = case["radius_m"], 2 * PI / case["wavelength_m"]
    x, y, step = dish(case)
    u, v = sky(case)
    phase = sum(c * zernike(n, l, x / R, y / R) for c, (n, l) in zip(z, modes(case["order"])))
    amplitude = illumination(case["illumination"], p, x / R, y / R)
    result = []
    for i, dz in enumerate(case["defocus_m"]):
        E = amplitude * np.exp(1j * (phase + k * path(case["path"], x, y, dz)))
        kernel = np.exp(-1j * k * (np.outer(u - p[f"dx[{i}]"], x) + np.outer(v - p[f"dy[{i}]"], y)))
        S = kernel @ E * step**2 / (PI * R**2)
        result.append(p[f"gain[{i}]"] * abs(S) ** 2 + p[f"background[{i}]"])
    return np.array(result)


def maps_in_reals(case, values):
    """The same without the imaginary unit, so that `values` may have a complex step."""
    p, z = unpack(case, values)
    R, k = case["radius_m"], 2 * PI / case["wavelength_m"]
    x, y, step = dish(case)
    u, v = sky(case)
    phase = sum(c * zernike(n, l, x / R, y / R) for c, (n, l) in zip(z, modes(case["order"])))
    amplitude = illumination(case["illumination"], p, x / R, y / R) * step**2 / (PI * R**2)
    result = []
    for i, dz in enumerate(case["defocus_m"]):
        e = phase + k * path(case["path"], x, y, dz)
        turn = e - k * (np.outer(u - p[f"dx[{i}]"], x) + np.outer(v - p[f"dy[{i}]"], y))
        power = (np.cos(turn) @ amplitude) ** 2 + (np.sin(turn) @ amplitude) ** 2
        result.append(p[f"gain[{i}]"] * power + p[f"background[{i}]"])
    return np.array(result)


def gaussian(case, values, data, scale):
    r = (maps_in_reals(case, values) - data) / scale
    return np.sum(r**2) / 2


def cauchy(case, values, data, scale):
    r = (maps_in_reals(case, values) - data) / scale
    return np.sum(np.log(1 + r**2))


def gradient(function, values):
    h = 1e-60
    slopes = []
    for i in range(len(values)):
        stepped = np.array(values, complex)
        stepped[i] += 1j * h
        slopes.append(float(function(stepped).imag / h))
    return slopes


# ---------------------------------------------------------------- the cases

PRIME = {"kind": "prime-focus", "focal_length_m": 14.4}
EFFELSBERG = {"kind": "two-mirror", "primary_focal_length_m": 30.0,
              "effective_focal_length_m": 387.39435}
ALMA = {"kind": "two-mirror", "primary_focal_length_m": 4.8, "effective_focal_length_m": 96.0}
GENERIC = {"kind": "prime-focus", "focal_length_m": 4.8}
GBT = {"kind": "gbt"}


def raster(nu, nv, step):
    """An off-centre raster with unequal steps."""
    return {"kind": "raster",
            "u": list((np.arange(nu) - 0.43 * nu) * step),
            "v": list((np.arange(nv) - 0.55 * nv) * step * 1.1)}


def scattered(count, width, rng):
    return {"kind": "scattered",
            "u": list(rng.uniform(-width, width, count)),
            "v": list(rng.uniform(-width, width, count))}


def cases(rng):
    gaussian_p = dict(amp=1.1, sigma=0.72, x0=0.03, y0=-0.05, rho=0.0, diff=0.0)
    skewed = dict(amp=0.9, sigma=0.52, x0=-0.04, y0=0.02, rho=0.2, diff=-0.15)
    pedestal = dict(amp=1.05, taper=-14.5, q=2.0, x0=0.02, y0=0.03)
    squashed = dict(amp=0.95, sigma=0.539, x0=-0.03, y0=0.04)
    common = [
        ("paper", "nikolic2018", 2.8, PRIME, "gaussian", gaussian_p, 1.1e-3,
         [0.0, -50e-3, 50e-3], 3, 32, 4.0, {"kind": "grid"}),
        ("effelsberg", "effelsberg", 50.0, EFFELSBERG, "pedestal", pedestal, C / 32e9,
         [-22e-3, 0.0, 22e-3], 4, 40, 1.3, raster(11, 9, 0.4 * C / 32e9 / 100)),
        ("gbt", "gbt", 50.0, GBT, "gaussian", skewed, C / 43.1e9,
         [0.0, 35e-3, -35e-3], 3, 30, 1.1, scattered(60, 3 * C / 43.1e9 / 100, rng)),
        ("alma", "alma", 6.0, ALMA, "squashed", squashed, C / 86e9,
         [-6e-3, 6e-3], 2, 33, 1.2, raster(8, 10, 0.5 * C / 86e9 / 12)),
        ("tophat", "generic", 6.0, GENERIC, "tophat", dict(amp=1.0), C / 86e9,
         [0.0, 6e-3], 5, 28, 1.1, raster(9, 9, 0.4 * C / 86e9 / 12)),
    ]
    for name, telescope, R, optics, kind, lit, wavelength, dz, order, n, extent, sampling in common:
        case = dict(name=name, telescope=telescope, radius_m=R, path=optics, illumination=kind,
                    wavelength_m=wavelength, defocus_m=dz, order=order, points=n, extent=extent,
                    aperture="hard", sampling=sampling)
        parameters = {f"z{j}": rng.normal(0, 0.2) for j in range(len(modes(order)))}
        parameters |= lit
        for i in range(len(dz)):
            parameters[f"dx[{i}]"] = rng.normal(0, 0.1) * wavelength / (2 * R)
            parameters[f"dy[{i}]"] = rng.normal(0, 0.1) * wavelength / (2 * R)
            parameters[f"gain[{i}]"] = rng.normal(1, 0.05)
            parameters[f"background[{i}]"] = rng.normal(0, 0.01)
        case["names"] = list(parameters)
        case["values"] = [float(v) for v in parameters.values()]
        yield case


# ---------------------------------------------------------------- the files


def write(name, content):
    with open(OUT / name, "w") as f:
        json.dump(content, f, separators=(",", ":"))
        f.write("\n")


def write_zernikes():
    F = Fraction
    points = [(F(0), F(0)), (F(3, 10), F(-1, 2)), (F(-7, 8), F(3, 16)), (F(1, 64), F(1, 32)),
              (F(3, 5), F(4, 5)), (F(-31, 32), F(-1, 8))]
    wanted = modes(8) + [m for n in (20, 40, 60) for m in modes(60) if m[0] == n][::2]
    rows = [dict(n=n, l=l, j=(n * (n + 2) + l) // 2,
                 values=[float(zernike_exact(n, l, x, y)) for x, y in points])
            for n, l in wanted]
    # The model's own polynomials are checked here too.
    for row in rows[:45]:
        for (x, y), exact in zip(points, row["values"]):
            assert abs(zernike(row["n"], row["l"], float(x), float(y)) - exact) < 1e-12
    write("zernike.json", dict(points=[[float(x), float(y)] for x, y in points], modes=rows))


def write_illuminations():
    x, y = np.meshgrid(np.linspace(-0.97, 0.93, 6), np.linspace(-0.91, 0.99, 5))
    x, y = x.ravel(), y.ravel()
    some = dict(
        gaussian=dict(amp=1.3, sigma=0.6, x0=0.1, y0=-0.07, rho=0.2, diff=-0.1),
        pedestal=dict(amp=0.8, taper=-14.5, q=1.7, x0=0.05, y0=0.09),
        tophat=dict(amp=0.7),
        squashed=dict(amp=1.2, sigma=0.539, x0=-0.1, y0=0.03),
    )
    write("illumination.json", dict(cases=[
        dict(kind=kind, parameters=p,
             samples=np.stack([x, y, illumination(kind, p, x, y)], 1).tolist())
        for kind, p in some.items()]))


def write_paths():
    some = [(PRIME, 2.8, 0.05), (EFFELSBERG, 50.0, -0.022), (GBT, 50.0, 0.035)]
    result = []
    for optics, R, dz in some:
        x, y = np.meshgrid(np.linspace(-R, R, 6), np.linspace(-R, 0.9 * R, 5))
        x, y = x.ravel(), y.ravel()
        samples = np.stack([x, y, path(optics, x, y, dz)], 1).tolist()
        result.append(dict(optics, dz_m=dz, samples=samples))
    write("path.json", dict(cases=result))


def write_blockages(rng):
    result = []
    for telescope, R in (("effelsberg", 50.0), ("srt", 32.004), ("alma", 6.0), ("gbt", 50.0)):
        x, y = rng.uniform(-1.05 * R, 1.05 * R, (2, 100))
        # More near the directions in which legs stand.
        r, eighth = rng.uniform(0, 1.05 * R, 150), rng.integers(0, 8, 150) * PI / 4
        across = rng.normal(0, 0.01 * R, 150)
        x = np.append(x, r * np.cos(eighth) - across * np.sin(eighth))
        y = np.append(y, r * np.sin(eighth) + across * np.cos(eighth))
        points = np.stack([x, y, is_open(telescope, x, y)], 1).tolist()
        # Open fractions of pixels by counting m x m points, of those that an edge crosses. An edge
        # of the pixel's length is off by less than 1/m; most are far better.
        step, m = R / 16, 300
        inside = (np.arange(m) + 0.5) / m - 0.5
        fractions = []
        while len(fractions) < 25:
            px, py = rng.uniform(-R, R, 2)
            sx, sy = np.meshgrid(px + step * inside, py + step * inside)
            fraction = is_open(telescope, sx, sy).mean()
            if 0 < fraction < 1:
                fractions.append([float(px), float(py), float(fraction)])
        result.append(dict(telescope=telescope, step_m=step, tolerance=5e-3, points=points,
                           fractions=fractions))
    write("blockage.json", dict(cases=result))


def write_models(rng):
    for case in cases(rng):
        values = np.array(case["values"])
        model = maps(case, values)
        assert abs(maps_in_reals(case, values) - model).max() < 1e-13 * model.max()
        # Pseudo-random data of about the model's size: neither likelihood is near its minimum.
        peak = model.max()
        data = model * rng.normal(1, 0.05, model.shape) + rng.normal(0, 0.05 * peak, model.shape)
        scale = float(0.08 * peak)
        # Nothing is lost: doubles are written in full.
        case["model"], case["data"] = model.tolist(), data.tolist()
        case["likelihoods"] = {
            f.__name__: dict(
                scale=scale,
                value=float(f(case, values, data, scale)),
                gradient=gradient(lambda p: f(case, p, data, scale), values))
            for f in (gaussian, cauchy)}
        if case["sampling"]["kind"] == "grid":
            np.save(OUT / f"{case['name']}-model.npy", model.reshape(-1, case["points"], case["points"]))
            np.save(OUT / f"{case['name']}-data.npy", data.reshape(-1, case["points"], case["points"]))
            del case["model"], case["data"]
        write(f"model-{case['name']}.json", case)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_zernikes()
    write_illuminations()
    write_paths()
    write_blockages(np.random.default_rng(1805))
    write_models(np.random.default_rng(7439))
