"""The model in NumPy and SciPy: forward only, gradients by finite differences.

As a careful user writes it: the Zernike sum is one product with a matrix (BLAS) and is taken on dish pixels
only, the transforms are SciPy's and use all threads, and the arithmetic on the sky is done in place.
"""

import numpy as np
import scipy
import scipy.fft

from case import constants

STEP = np.sqrt(np.finfo(float).eps)  # as scipy.optimize.minimize(method="BFGS") has it


class Model:
    evaluation_kind = "forward"
    version = f"numpy {np.__version__}, scipy {scipy.__version__}"

    def __init__(self, case, threads, whole_grid=False):
        self.constants = constants(case, whole_grid)
        self.grid, self.sigma, self.threads = case.grid, case.sigma, threads
        self.forward_evaluations = 0

    def value(self, parameters):
        """The negative log-likelihood."""
        self.forward_evaluations += 1
        c, n = self.constants, self.grid
        z, (x0, y0, amp) = parameters[:-3], parameters[-3:]
        phase = z @ c.zernikes
        amplitude = amp * np.exp(((c.x - x0) ** 2 + (c.y - y0) ** 2) / (-2 * self.sigma**2))
        field = amplitude * (np.cos(phase) + 1j * np.sin(phase))
        aperture = np.zeros((len(c.defocus), n * n), complex)
        aperture[:, c.pixels] = field * c.defocus
        sky = scipy.fft.fft2(aperture.reshape(-1, n, n), workers=self.threads, overwrite_x=True)
        residual = sky.real**2
        residual += sky.imag**2
        residual -= c.data
        residual *= residual
        return float(np.log1p(residual, out=residual).sum())

    def gradient(self, parameters, value):
        """Forward differences from `value`, which is that at `parameters`."""
        slopes = np.empty(len(parameters))
        for i, at in enumerate(parameters):
            stepped = parameters.copy()
            stepped[i] = at + STEP
            slopes[i] = (self.value(stepped) - value) / (stepped[i] - at)
        return slopes

    def value_and_gradient(self, parameters):
        value = self.value(parameters)
        return value, self.gradient(parameters, value)
