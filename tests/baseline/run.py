"""A baseline without NumPy for the tests of oof-bench: the model of arXiv:1805.07439 for order 2, as
plain sums. It shares no code with the library. The gradient is forward mode by hand. It pretends to
have fitted: the trace ends at the truth. OOF_TEST_WRONG is added to the value, relative."""

import argparse
import array
import cmath
import json
import math
import os
import pathlib
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--implementation")
parser.add_argument("case", type=pathlib.Path)
parser.add_argument("--repeat", type=int)
parser.add_argument("--threads", type=int)
parser.add_argument("--solve", action="store_true")
parser.add_argument("--time-limit", type=float)
parser.add_argument("--evaluations-from", type=pathlib.Path)
args = parser.parse_args()
if args.implementation == "jax":
    print("no such package", file=sys.stderr)
    sys.exit(1)

case = json.loads((args.case / "case.json").read_text())
assert case["parameters"] == ["z1", "z2", "z3", "z4", "z5", "x0", "y0", "amp"]
file = (args.case / "data.npy").read_bytes()
data = array.array("d", file[10 + int.from_bytes(file[8:10], "little"):])
n, radius = case["grid"], case["radius_m"]
assert len(data) == 3 * n * n
step = 2 * case["extent"] / (n - 1)  # in dish radii
line = [(i - (n - 1) / 2) * step for i in range(n)]
dish = [(i, k) for i in range(n) for k in range(n) if math.hypot(line[i], line[k]) <= 1]
# exp(-2 pi i u x / lambda) of sky pixel j and aperture pixel i
wave = [[cmath.exp(-2j * math.pi * (j - n // 2) * (i - (n - 1) / 2) / n) for i in range(n)]
        for j in range(n)]


def far_field(field):
    """The sums over x and then over y of a field given on the dish's pixels."""
    rows = {}
    for (i, k), value in zip(dish, field):
        rows.setdefault(i, []).append((k, value))
    half = {i: [sum(w[k] * value for k, value in row) for w in wave] for i, row in rows.items()}
    return [sum(w[i] * part[a] for i, part in half.items()) for w in wave for a in range(n)]


def value_and_gradient(at):
    *z, x0, y0, amp = at
    value, gradient = 0.0, [0.0] * len(at)
    for m, (dz, scale) in enumerate(zip(case["defocus_m"], case["scale"])):
        field, slopes = [], [[] for _ in at]
        for i, k in dish:
            x, y = line[k], line[i]
            zernikes = [y, x, 2 * x * y, 2 * (x * x + y * y) - 1, x * x - y * y]
            a2 = (math.hypot(x, y) * radius / (2 * case["focal_length_m"])) ** 2
            path = dz * ((1 - a2) / (1 + a2) - 1)
            phase = sum(c * p for c, p in zip(z, zernikes)) + 2 * math.pi * path / case["wavelength_m"]
            width = case["sigma"] ** 2
            shape = math.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * width)) * step**2 / math.pi
            e = amp * shape * cmath.exp(1j * phase)
            field.append(e)
            own = [1j * p * e for p in zernikes] + [e * (x - x0) / width, e * (y - y0) / width, e / amp]
            for slope, d in zip(slopes, own):
                slope.append(d)
        sky = far_field(field)
        part = data[m * n * n:(m + 1) * n * n]
        residuals = [(abs(s) ** 2 - d) / scale for s, d in zip(sky, part)]
        value += sum(math.log1p(q * q) for q in residuals)
        for p, slope in enumerate(slopes):
            change = (2 * (s.conjugate() * t).real for s, t in zip(sky, far_field(slope)))
            gradient[p] += sum(2 * q / (1 + q * q) / scale * c for q, c in zip(residuals, change))
    return value, gradient


value, gradient = value_and_gradient(case["at"])
reached = value - 1  # not the optimum, but what it says it has reached
print(json.dumps({
    "implementation": args.implementation,
    "version": "0 of " + args.implementation,
    "threads": args.threads,
    "value": value * (1 + float(os.environ.get("OOF_TEST_WRONG", "0"))),
    "gradient": gradient,
    "seconds_forward": [0.25] * args.repeat,
    "seconds_gradient": [0.5] * args.repeat,
    "fits": [{
        "trace": [[1.0, value], [2.0, reached]],
        "evaluations": 99,
        "negative_log_likelihood": reached,
    }] * (args.repeat if args.solve else 0),
    "evaluation_kind": "gradient",
    "peak_rss_bytes": 1 << 20,
}))
