#!/usr/bin/env python3
"""Let PyTorch's wheel for Linux start without CUDA's libraries, 3 GB that a CPU has no use for.

    without_cuda.py FOLDER      the folder `torch/lib` of an installed PyTorch

The wheel is linked against cuBLAS, cuDNN and others, and does not start where they are missing,
although nothing calls them as long as tensors stay on the CPU. For each library that is missing this
makes one of the same name that has the same symbols, all of them a trap. The CUDA runtime
itself (2 MB) has to be there: PyTorch asks it for the number of devices when it starts.
Needs `cc`, `nm` and `ldd`. What runs on the CPU is the wheel's own code, unchanged.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# Versions of symbols that are not called as the library is.
VERSIONS = {"NVSHMEM": "libnvshmem_host.so.3"}
# How symbols begin that have no version. Whose they are is not told: each of the libraries without
# versions defines them all.
UNVERSIONED = ("cu", "nccl")


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def missing(libraries):
    """Names of the libraries that the loader does not find."""
    return sorted({line.split()[0] for library in libraries
                   for line in printed("ldd", library).splitlines() if "not found" in line})


def undefined(libraries):
    """(symbol, version) that `libraries` expect of others; the version may be empty."""
    rows = (line.split() for line in printed("nm", "-D", "--undefined-only", *libraries).splitlines())
    return sorted({tuple((row[1] + "@").replace("@@", "@").split("@")[:2])
                   for row in rows if len(row) == 2 and row[0] == "U"})


def make(folder, name, version, symbols):
    """A library `name` whose `symbols` all lead to an illegal instruction."""
    assembly = [".section .note.GNU-stack,\"\",@progbits", ".text", "absent: .byte 0x0f, 0x0b"]
    for symbol in symbols:
        assembly += [f".globl {symbol}", f".set {symbol}, absent"]
    script = folder / f"{name}.map"
    options = []
    if version:
        script.write_text(f"{version} {{ global: *; }};\n")
        options = [f"-Wl,--version-script={script}"]
    subprocess.run(["cc", "-shared", "-nostdlib", f"-Wl,-soname,{name}", *options,
                    "-o", str(folder / name), "-x", "assembler", "-"],
                   input="\n".join(assembly) + "\n", text=True, check=True)
    script.unlink(missing_ok=True)


def main():
    folder = Path(sys.argv[1])
    libraries = sorted(str(path) for path in folder.glob("*.so"))
    absent = missing(libraries)
    symbols, version_of = defaultdict(list), {}
    for symbol, version in undefined(libraries):
        name = VERSIONS.get(version, version)
        if name in absent:
            symbols[name].append(symbol)
            version_of[name] = version
    plain = [symbol for symbol, version in undefined(libraries)
             if not version and symbol.startswith(UNVERSIONED)]
    for name in absent:
        make(folder, name, version_of.get(name), symbols.get(name, plain))
    print(f"{len(absent)} libraries of CUDA stood in for")


if __name__ == "__main__":
    main()
