"""The model in NumPy and SciPy: forward only, gradients by finite differences.

On the whole grid with the dish as a mask, as the paper has it (`numpy`), and with the aperture on dish pixels
only (`numpy-dish`). As a careful user writes it: the Zernike sum is one product with a matrix (BLAS), the
transforms are SciPy's and use all threads, and the maps' arrays are allocated once.
"""

import numpy as np
import scipy
import scipy.fft

from case import constants

STEP = np.sqrt(np.finfo(float).eps)  # as scipy.optimize.minimize(method="BFGS") has it


class Model:
    evaluation_kind = "forward"
    version = f"numpy {np.__version__}, scipy {scipy.__version__}"

    def __init__(self, case, threads, whole_grid):
        self.constants = constants(case, whole_grid)
        self.whole_grid, self.sigma, self.threads = whole_grid, case.sigma, threads
        self.aperture = np.empty((len(case.defocus_m), case.grid, case.grid), complex)
        self.residual, self.square = np.empty((2,) + self.aperture.shape)

    def value(self, parameters):
        """The negative log-likelihood."""
        c, residual, square = self.constants, self.residual, self.square
        z, (x0, y0, amp) = parameters[:-3], parameters[-3:]
        phase = z @ c.zernikes
        amplitude = amp * np.exp(((c.x - x0) ** 2 + (c.y - y0) ** 2) / (-2 * self.sigma**2))
        field = amplitude * (np.cos(phase) + 1j * np.sin(phase))
        aperture = self.aperture.reshape(len(c.defocus), -1)
        if self.whole_grid:
            np.multiply(field, c.defocus, out=aperture)
        else:
            aperture[:] = 0  # the transform overwrites it
            aperture[:, c.pixels] = field * c.defocus
        sky = scipy.fft.fft2(self.aperture, workers=self.threads, overwrite_x=True)
        np.square(sky.real, out=residual)
        residual += np.square(sky.imag, out=square)
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
