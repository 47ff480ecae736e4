"""Compiles kernels for GPUs into a header (called by DxOperators.cmake).

``device_code.py NAME SOURCE HEADER --include FOLDER… [--ptxas PROGRAM…]`` writes HEADER, which
holds dx::op::NAME::kDeviceCode: the kernels of SOURCE as PTX, which a GPU's driver translates when
it loads them, and for each of GPUS that one of the assemblers knows what needs no translation.
HEADER.d says what SOURCE includes. With ``--stand-in`` nothing is compiled: for tests without GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Of Jetsons with TensorRT 8.5 and later: Xavier, Orin.
GPUS = ("sm_72", "sm_87")
# PTX is for the oldest, in a version that the drivers of CUDA 11.4 (JetPack 5) know.
_COMPILE = (
    *("-x", "cuda", "--cuda-device-only", f"--cuda-gpu-arch={GPUS[0]}", "--cuda-feature=+ptx74"),
    *("-nocudainc", "-nocudalib", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror"),
    # A CUDA of this computer's is not used; kernels are included by others, and so are constants.
    *("-Wno-unknown-cuda-version", "-Wno-pragma-once-outside-header"),
    "-Wno-unused-const-variable",
)
_LINE = 24
_TEMPLATE = """\
// Made of {source} by device_code.py.
#pragma once

#include "operators/device_code.h"

namespace dx::op::{name} {{

{arrays}inline constexpr DeviceImage kImages[] = {{{images}}};
inline constexpr DeviceCode kDeviceCode{{{count}, kImages}};

}}  // namespace dx::op::{name}
"""


def compile_ptx(source: Path, includes: Sequence[str], depends: Path, target: Path) -> bytes:
    """The kernels as PTX; ``depends`` becomes a list of what ``target`` is made of."""
    with tempfile.TemporaryDirectory(prefix="deployx-device-code-") as folder:
        made = Path(folder) / "kernels.ptx"
        words = [sys.executable, "-m", "ziglang", "clang", *_COMPILE]
        words += [word for each in includes for word in ("-I", each)]
        words += ["-MD", "-MF", str(depends), "-MT", str(target)]
        # What it cannot compile it says itself.
        if subprocess.run([*words, "-S", str(source), "-o", str(made)], check=False).returncode:
            raise SystemExit(1)
        return made.read_bytes()


def assemble(ptx: bytes, gpu: str, assemblers: Sequence[str]) -> bytes | None:
    """The kernels for one GPU; None where no assembler knows it."""
    with tempfile.TemporaryDirectory(prefix="deployx-device-code-") as folder:
        source, made = Path(folder) / "kernels.ptx", Path(folder) / "kernels.cubin"
        source.write_bytes(ptx)
        for program in assemblers:
            words = [program, "-arch", gpu, str(source), "-o", str(made)]
            done = subprocess.run(words, check=False, capture_output=True)
            if done.returncode == 0 and made.is_file():
                return made.read_bytes()
    return None


def header(name: str, source: Path, images: dict[str, bytes]) -> str:
    """The text of the header."""
    arrays, rows = [], []
    for index, (gpu, content) in enumerate(images.items()):
        content += b"\0"
        lines = [content[at : at + _LINE] for at in range(0, len(content), _LINE)]
        body = ",\n".join(", ".join(str(byte) for byte in line) for line in lines)
        # CUDA reads it in words.
        arrays.append(
            f"alignas(16) inline constexpr unsigned char kImage{index}[] = {{\n{body}}};\n"
        )
        rows.append(f'{{"{gpu}", kImage{index}}}')
    return _TEMPLATE.format(
        source=source.name,
        name=name,
        arrays="".join(arrays),
        images=", ".join(rows),
        count=len(rows),
    )


def main() -> None:
    """Write the header."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("source", type=Path)
    parser.add_argument("header", type=Path)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--ptxas", action="append", default=[])
    parser.add_argument("--stand-in", action="store_true")
    given = parser.parse_args()
    depends = given.header.with_name(f"{given.header.name}.d")
    if given.stand_in:
        images = {gpu: f"stand-in {gpu}".encode() for gpu in (*GPUS, "")}
        depends.write_text(f"{given.header}:\n", encoding="utf-8")
    else:
        ptx = compile_ptx(given.source, given.include, depends, given.header)
        made = {gpu: assemble(ptx, gpu, given.ptxas) for gpu in GPUS}
        images = {gpu: content for gpu, content in made.items() if content is not None}
        images[""] = ptx
    given.header.write_text(header(given.name, given.source, images), encoding="utf-8")


if __name__ == "__main__":
    main()
