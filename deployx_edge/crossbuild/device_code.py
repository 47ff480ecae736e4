"""What makes GPUs' own code of the kernels in ``ops/*/kernel.cu``: NVIDIA's assembler, ptxas.

Kernels are compiled to PTX by the clang that comes with zig. A GPU's driver translates PTX when it
loads it; with a ptxas, a build holds what needs no translation, for each GPU that the ptxas knows.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deployx_edge import process

PROGRAM = "ptxas"
# The wheel with the last one that knows all GPUs of Jetsons with TensorRT.
PACKAGE = "nvidia-cuda-nvcc-cu11"
_IN_WHEELS = ("nvidia/cuda_nvcc/bin", "nvidia/cu13/bin")
_VERSION = re.compile(r"release ([0-9.]+)")


@dataclass(frozen=True, kw_only=True)
class Assembler:
    """A ptxas, and the version of CUDA that it is of."""

    path: Path
    version: str


@cache
def assemblers() -> tuple[Assembler, ...]:
    """Those of packages beside ours first, then the one that a shell finds; ones that run."""
    places = [Path(each) / folder / PROGRAM for each in sys.path for folder in _IN_WHEELS]
    found = shutil.which(PROGRAM)
    places += [Path(found)] if found else []
    made = []
    for path in dict.fromkeys(place.resolve() for place in places if place.is_file()):
        done = process.run([path, "--version"], check=False)
        version = _VERSION.search(done.stdout.decode(errors="replace"))
        if done.returncode == 0 and version is not None:
            made.append(Assembler(path=path, version=version[1]))
    return tuple(made)
