"""The model in JAX, compiled by `jit`, gradients by its automatic differentiation, in double precision.

On the whole grid with the dish as a mask, as the paper has it (`jax`), and with the aperture on dish pixels
only (`jax-dish`). The first call, which compiles, is not timed. The number of threads is that of
the cores that the process may use: `run.py` sets it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from case import constants

jax.config.update("jax_enable_x64", True)


class Model:
    evaluation_kind = "gradient"
    version = f"jax {jax.__version__}"

    def __init__(self, case, threads, whole_grid):
        c = constants(case, whole_grid)
        # Arguments, not captured constants: XLA would try to fold those while it compiles.
        self.constants = tuple(map(jnp.asarray, (c.x, c.y, c.zernikes, c.defocus, c.data, c.pixels)))

        def negative_log_likelihood(parameters, x, y, zernikes, defocus, data, pixels):
            z, (x0, y0, amp) = parameters[:-3], parameters[-3:]
            phase = z @ zernikes
            amplitude = amp * jnp.exp(((x - x0) ** 2 + (y - y0) ** 2) / (-2 * case.sigma**2))
            aperture = amplitude * jax.lax.complex(jnp.cos(phase), jnp.sin(phase)) * defocus
            if not whole_grid:
                empty = jnp.zeros((len(defocus), data[0].size), complex)
                aperture = empty.at[:, pixels].set(
                    aperture, unique_indices=True, indices_are_sorted=True)
            sky = jnp.fft.fft2(aperture.reshape(data.shape))
            residual = sky.real**2 + sky.imag**2 - data
            return jnp.sum(jnp.log1p(residual**2))

        self.forward = jax.jit(negative_log_likelihood)
        self.both = jax.jit(jax.value_and_grad(negative_log_likelihood))

    def value(self, parameters):
        return float(self.forward(parameters, *self.constants))

    def value_and_gradient(self, parameters):
        value, gradient = self.both(parameters, *self.constants)
        return float(value), np.asarray(gradient)
