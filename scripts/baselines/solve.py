"""BFGS as SciPy has it, with a record of how far it had come when."""

import time

import numpy as np
from scipy.optimize import minimize

# A fit counts as done this close to the best log-likelihood, as in the benchmark's table.
CLOSE = 0.01


class TimeLimit(Exception):
    pass


class Solve:
    """A minimisation from the case's start. `trace`: [seconds, best so far, evaluations so far]."""

    def __init__(self, model, case, time_limit=np.inf):
        self.model, self.time_limit = model, time_limit
        self.trace, self.evaluations, self.best = [], 0, np.inf
        self.finished = True
        self.began = time.perf_counter()
        method = self.forward if model.evaluation_kind == "forward" else self.gradient
        try:
            method(case.start)
        except TimeLimit:
            self.finished = False

    def gradient(self, start):
        def both(parameters):
            value, gradient = self.model.value_and_gradient(parameters)
            self.record(value, 1)
            return value, gradient

        minimize(both, start, jac=True, method="BFGS")

    def forward(self, start):
        """Finite differences reuse the value that the line search has just computed."""
        last = {}

        def value(parameters):
            last["at"], last["value"] = parameters.copy(), self.model.value(parameters)
            self.record(last["value"], 1)
            return last["value"]

        def gradient(parameters):
            if not np.array_equal(parameters, last["at"]):
                value(parameters)
            slopes = self.model.gradient(parameters, last["value"])
            self.record(last["value"], len(parameters))
            return slopes

        minimize(value, start, jac=gradient, method="BFGS")

    def record(self, value, evaluations):
        self.evaluations += evaluations
        seconds = time.perf_counter() - self.began
        if value < self.best:
            self.best = value
            self.trace.append([seconds, value, self.evaluations])
        if seconds > self.time_limit:
            raise TimeLimit

    def evaluations_to_solution(self):
        """How many it took to come within CLOSE of the best."""
        return next(n for _, value, n in self.trace if value < self.best + CLOSE)
