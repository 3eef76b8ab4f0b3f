"""The model in PyTorch, gradients by its automatic differentiation.

As the paper has it, on the whole grid with the dish as a mask, but with all constants computed once
(`torch`); and with the aperture on dish pixels only (`torch-dish`), a trick that the library has as well.
"""

import torch

from case import constants


class Model:
    evaluation_kind = "gradient"
    version = f"torch {torch.__version__}"

    def __init__(self, case, threads, whole_grid):
        torch.set_num_threads(threads)
        c = constants(case, whole_grid)
        self.x, self.y, self.zernikes, self.defocus, self.data, self.pixels = map(
            torch.from_numpy, (c.x, c.y, c.zernikes, c.defocus, c.data, c.pixels))
        self.whole_grid, self.sigma = whole_grid, case.sigma

    def negative_log_likelihood(self, parameters):
        z, (x0, y0, amp) = parameters[:-3], parameters[-3:]
        phase = z @ self.zernikes
        r2 = (self.x - x0).square() + (self.y - y0).square()
        amplitude = amp * torch.exp(r2 / (-2 * self.sigma**2))
        aperture = amplitude * torch.exp(1j * phase) * self.defocus
        if not self.whole_grid:
            empty = aperture.new_zeros(len(aperture), self.data[0].numel())
            aperture = empty.index_copy(1, self.pixels, aperture)
        sky = torch.fft.fft2(aperture.view(self.data.shape))
        # Of the ways to write |sky|^2 the one with the cheapest adjoint.
        real, imaginary = torch.view_as_real(sky).unbind(-1)
        residual = real.square() + imaginary.square() - self.data
        return torch.log1p(residual.square()).sum()

    def value(self, parameters):
        with torch.no_grad():
            return self.negative_log_likelihood(torch.tensor(parameters)).item()

    def value_and_gradient(self, parameters):
        p = torch.tensor(parameters, requires_grad=True)
        value = self.negative_log_likelihood(p)
        value.backward()
        return value.item(), p.grad.numpy()
