#!/usr/bin/env python3
"""Time the PyTorch model, value and gradient, on the first GPU. Prints CSV.

    torch_on_gpu.py [--grid 256,512,1024,2048] [--order 7] [--repeat 20]

The same model as `torch` of run.py, whole grid and double precision, with its tensors on the GPU. A
repeat ends when value and gradient are on the host.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from case import Case
from torch_model import Model


class OnGpu(Model):
    def __init__(self, case, threads, whole_grid):
        super().__init__(case, threads, whole_grid)
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.cuda())

    def value_and_gradient(self, parameters):
        p = torch.tensor(parameters, device="cuda", requires_grad=True)
        value = self.negative_log_likelihood(p)
        value.backward()
        return value.item(), p.grad.cpu().numpy()


def main():
    parser = argparse.ArgumentParser(description="Time the PyTorch model on the first GPU.")
    parser.add_argument("--grid", default="256,512,1024,2048")
    parser.add_argument("--order", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=20)
    given = parser.parse_args()
    print("implementation,backend,device,grid,order,seconds_gradient")
    make_case = Path(__file__).with_name("make_case.py")
    for grid in given.grid.split(","):
        with tempfile.TemporaryDirectory() as folder:
            folder = str(Path(folder) / "case")
            subprocess.run([sys.executable, make_case, folder, "--grid", grid, "--order", str(given.order)], check=True)
            case = Case.load(folder)
        model = OnGpu(case, 1, True)
        for _ in range(3):
            model.value_and_gradient(case.at)
        times = []
        for _ in range(given.repeat):
            begin = time.perf_counter()
            model.value_and_gradient(case.at)
            times.append(time.perf_counter() - begin)
        name = torch.cuda.get_device_name(0).replace(",", " ")
        print(f"torch,cuda,{name},{grid},{given.order},{statistics.median(times)}", flush=True)


if __name__ == "__main__":
    main()
