#!/usr/bin/env python3
"""Time one implementation on one case, and solve it. Prints one JSON object.

    run.py --implementation torch CASE_DIR [--repeat 5] [--threads 2] [--solve]
           [--time-limit 600] [--evaluations-from SMALL_CASE_DIR]

Everything that is constant in a fit (Zernike polynomials, masks, defocus, compilation) is made before any
clock starts, and every timed function is called once before. Where solving would take longer than the time
limit, and a smaller case is given, that one is solved, and the evaluations that it took to come within
0.01 of its best are multiplied by the time of an evaluation of the case at hand.
"""

import argparse
import importlib
import json
import os
import re
import resource
import statistics
import sys
import time

# Implementation: module, and whether it computes on the whole grid or on dish pixels only.
IMPLEMENTATIONS = {
    "numpy": ("numpy_model", True),
    "numpy-dish": ("numpy_model", False),
    "torch": ("torch_model", True),
    "torch-dish": ("torch_model", False),
    "jax": ("jax_model", True),
    "jax-dish": ("jax_model", False),
}
# More gradients than a solution takes. Where even these fit the time limit, nothing need be reckoned.
MANY_GRADIENTS = 300
# Cores that other programs may keep busy before the note says so.
BUSY = 0.1


def options():
    parser = argparse.ArgumentParser(description="Time one implementation on one case.")
    parser.add_argument("folder", metavar="CASE_DIR")
    parser.add_argument("--implementation", choices=IMPLEMENTATIONS, required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--solve", action="store_true")
    parser.add_argument("--time-limit", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--evaluations-from", metavar="SMALL_CASE_DIR")
    return parser.parse_args()


def limit_threads(threads):
    """Has to run before any of the libraries is imported: they count cores when they start."""
    if hasattr(os, "sched_setaffinity"):
        # Different cores first, then their other hardware threads.
        cpus = sorted(os.sched_getaffinity(0), key=lambda cpu: (cpu != first_of_core(cpu), cpu))
        os.sched_setaffinity(0, cpus[:threads])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["JAX_PLATFORMS"] = "cpu"


def first_of_core(cpu):
    """The lowest of the hardware threads that share a core with `cpu`."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as siblings:
            return int(re.match(r"\d+", siblings.read()).group())
    except OSError:
        return cpu


def timed(function, repeat, seconds=60):
    """The seconds of `repeat` calls after a first; fewer where they would take over `seconds`."""
    function()
    return repeated(function, repeat, seconds)


def repeated(function, repeat, seconds=60):
    """The seconds of `repeat` calls; fewer, but one, where they would take over `seconds`."""
    times = []
    while len(times) < repeat and (not times or sum(times) * (1 + 1 / len(times)) < seconds):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return times


def timed_gradient(model, case, repeat):
    """Value, gradient, and the seconds of computing both. Slow ones are not called once for nothing."""
    begin = time.perf_counter()
    value, gradient = model.value_and_gradient(case.at)
    first = time.perf_counter() - begin
    if first > 10 and model.evaluation_kind == "forward":
        return value, gradient, [first]
    return value, gradient, timed(lambda: model.value_and_gradient(case.at), repeat)


def main():
    given = options()
    limit_threads(given.threads)
    from case import Case
    from quiet import Meanwhile

    module, whole_grid = IMPLEMENTATIONS[given.implementation]
    kind = importlib.import_module(module).Model

    case = Case.load(given.folder)
    model = kind(case, given.threads, whole_grid)
    meanwhile = Meanwhile()
    forward = timed(lambda: model.value(case.at), given.repeat)
    value, gradient, both = timed_gradient(model, case, given.repeat)

    notes = []
    if len(both) < given.repeat or len(forward) < given.repeat:
        notes.append(f"{len(forward)} forward and {len(both)} gradient repeats")
    result = {
        "implementation": given.implementation, "version": model.version, "threads": given.threads,
        "grid": case.grid, "order": case.order,
        "value": value, "gradient": gradient.tolist(),
        "seconds_forward": forward, "seconds_gradient": both,
        "evaluation_kind": model.evaluation_kind, "evaluations": None, "fits": [],
        "seconds_solution_extrapolated": None,
    }
    if given.solve:
        result |= solved(given, lambda case: kind(case, given.threads, whole_grid), model, case,
                         result, notes)
    others = meanwhile.others()
    result["others_busy_cores"] = others
    if others is not None and others > BUSY:
        notes.append(f"other programs kept {others:.1f} cores busy")
    result["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result["note"] = "; ".join(notes)
    json.dump(result, sys.stdout)
    print()


def solved(given, model_of, model, case, timings, notes):
    """The part of the result that comes from solving, or from reckoning how long it would take."""
    from case import Case
    from solve import Solve

    gradient = statistics.median(timings["seconds_gradient"])
    if given.evaluations_from and gradient * MANY_GRADIENTS > given.time_limit:
        small = Case.load(given.evaluations_from)
        small_model = model_of(small)
        small_model.value_and_gradient(small.at)
        evaluations = Solve(small_model, small).evaluations_to_solution()
        forward = statistics.median(timings["seconds_forward"])
        seconds = evaluations * (forward if model.evaluation_kind == "forward" else gradient)
        if seconds > given.time_limit:
            notes.append(f"extrapolated from the evaluations at grid {small.grid}")
            return {"evaluations": evaluations, "evaluations_to_solution": evaluations,
                    "seconds_solution_extrapolated": seconds}
        # The tail after the solution may still take long; the trace has what counts.
    fits = []

    def fit():
        solve = Solve(model, case, given.time_limit)
        if not solve.finished:
            notes.append("stopped at the time limit")
        fits.append({
            "trace": [[seconds, best] for seconds, best, _ in solve.trace],
            "evaluations": solve.evaluations,
            "evaluations_to_solution": solve.evaluations_to_solution(),
            "negative_log_likelihood": solve.best,
        })

    # The model has been called before, so the first fit counts.
    repeated(fit, given.repeat)
    if len(fits) < given.repeat:
        notes.append(f"{len(fits)} of {given.repeat} fits")
    notes[:] = dict.fromkeys(notes)
    return {"fits": fits}


if __name__ == "__main__":
    main()
