"""Operators of our own on targets of other processors: 32 bits, RISC-V, and Arm's 64 bits.

Whole, through worker and agent, where the target is built; and the kernels alone, compiled by zig
and run by qemu, which takes no package to be compiled for the target first.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployx_edge import process
from deployx_edge.device import Device
from deployx_edge.operator_facts import all_operators, operators_folder
from deployx_edge.operator_file import AttributeFact, OperatorFacts
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.operators.cases import BuiltCase, Case, build_cases
from deployx_edge.workflows.operators.testing import (
    _difference,
    _reference_outputs,
    cases_of,
    check_operator,
)
from tests.sampling import sampled

from .crossbuild.compiling import built

OPERATORS = [facts for facts in all_operators().values() if "ncnn" in facts.runtimes]
AGENT = data_folder("device_agent")
# Of zig; what it compiles nothing for first is this computer's own compiler.
_TRIPLES = {
    "linux-x64": "",
    "linux-arm64": "aarch64-linux-musl",
    "linux-armv7": "arm-linux-musleabihf",
    "linux-riscv64": "riscv64-linux-musl",
}
# Without its C++ library, which zig would compile for the target first.
_FLAGS = ("-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
# As DxBuild.cmake has them.
_FLAGS += ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")


@pytest.mark.parametrize("target_id", ["linux-arm64", "linux-armv7", "linux-riscv64"])
def test_every_case_is_right_on_an_emulated_board(
    target_id: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--all"):
        pytest.skip("an emulator takes minutes for all of it: --all")
    built(target_id)
    board = Device(name="board", uri=f"virtual:{target_id}", work_folder=str(tmp_path / "work"))
    with open_session(board, purpose="op test") as session:
        for facts in OPERATORS:
            outcomes = check_operator(replace(facts, runtimes=("ncnn",)), session=session)
            assert len(outcomes) == len(cases_of(facts))
            assert [each for each in outcomes if each.verdict != "right"] == []


def test_every_kernel_compiles_where_sizes_have_32_bits(tmp_path: Path) -> None:
    """Nothing is linked, so that zig compiles no library for the target first."""
    write_list(OPERATORS, tmp_path)
    compile = [sys.executable, "-m", "ziglang", "c++", "-target", _TRIPLES["linux-armv7"]]
    source, made = AGENT / "tests/kernels/kernels.cpp", tmp_path / "kernels.o"
    run([*compile, *_FLAGS, "-O0", *places_of(tmp_path), "-c", str(source), "-o", str(made)])


@pytest.mark.parametrize("target_id", _TRIPLES)
def test_kernels_are_right_on_other_processors(
    target_id: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    before = []
    if _TRIPLES[target_id]:
        if not pytestconfig.getoption("--all"):
            pytest.skip(f"zig compiles its C library for {target_id} first: --all")
        emulator = process.find_program(find_target(target_id).qemu)
        if emulator is None:
            pytest.skip(f"running it needs {find_target(target_id).qemu} (qemu-user-static)")
        before = [str(emulator)]
    chosen = sampled(OPERATORS, pytestconfig, 4)
    program = compile_kernels(chosen, _TRIPLES[target_id], tmp_path)
    for facts in chosen:
        for case in cases_of(facts):
            model, (part,) = build_cases(facts, [case])
            (wanted,) = _reference_outputs(facts, model, [part])
            found = run_kernel([*before, str(program)], facts, part)
            error, detail = _difference(wanted, found[: len(wanted)])
            assert not detail and error <= case.tolerance, (facts.name, case.name, error, detail)


def compile_kernels(chosen: Sequence[OperatorFacts], triple: str, folder: Path) -> Path:
    """A static program of these operators' kernels."""
    write_list(chosen, folder)
    zig = [sys.executable, "-m", "ziglang"]
    compiler, linker = [*zig, "c++", "-target", triple], [*zig, "cc", "-target", triple]
    if not triple:
        if shutil.which("g++") is None:
            pytest.skip("g++ is not installed")
        compiler = linker = ["g++"]
    objects = []
    for source in (AGENT / "tests/kernels/kernels.cpp", AGENT / "operators/operator.cpp"):
        objects.append(folder / f"{source.stem}.o")
        words = [*compiler, *_FLAGS, *places_of(folder), "-c", source]
        run([*map(str, words), "-o", str(objects[-1])])
    program = folder / "kernels"
    run([*linker, "-static", *map(str, objects), "-o", str(program)])
    return program


def write_list(chosen: Sequence[OperatorFacts], folder: Path) -> None:
    """What the program's source includes of these operators."""
    script = AGENT / "cmake" / "operator_facts.py"
    subprocess.run([sys.executable, script, operators_folder(), folder], check=True)
    includes = [f'#include "{f.name}/kernel.h"\n#include "{f.name}_facts.h"\n' for f in chosen]
    (folder / "kernels.inc").write_text("".join(includes), encoding="utf-8")
    rows = "".join(f"DX_OPERATOR({facts.name})\n" for facts in chosen)
    (folder / "kernels_list.inc").write_text(rows, encoding="utf-8")


def places_of(folder: Path) -> list[str]:
    """Where a compiler looks for what it includes."""
    return [f"-I{place}" for place in (folder, operators_folder(), AGENT)]


def run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_kernel(program: Sequence[str], facts: OperatorFacts, part: BuiltCase) -> list[np.ndarray]:
    """What the kernel makes of the case."""
    return read_outputs(answer_of(program, facts, part), len(facts.outputs))


def answer_of(program: Sequence[str], facts: OperatorFacts, part: BuiltCase) -> bytes:
    """What the program says of the case, which its kernel computes."""
    asked = struct.pack("<i", len(facts.name)) + facts.name.encode()
    for attribute in facts.attributes:
        values = attribute_values(attribute, facts, part.case)
        count = -1 if values is None else len(values)
        asked += struct.pack("<i", count) + np.asarray(values or (), dtype="<f8").tobytes()
    for place in range(len(facts.inputs)):
        array = part.values[place] if place < len(part.values) else None
        if array is None:
            asked += struct.pack("<i", -1)
            continue
        asked += struct.pack(f"<{1 + array.ndim}i", array.ndim, *array.shape)
        asked += floats_of(array).tobytes()
    done = subprocess.run(program, input=asked, capture_output=True, check=True)
    (code,) = struct.unpack_from("<i", done.stdout)
    assert code == 0, done.stdout[8:]
    return done.stdout[4:]


def floats_of(array: np.ndarray) -> np.ndarray:
    """As a model's whole numbers come to a kernel: no more than floats hold."""
    whole = array.dtype.kind in "iu"
    return (np.minimum(array, 2**24) if whole else array).astype("<f4")


def attribute_values(
    attribute: AttributeFact, facts: OperatorFacts, case: Case
) -> list[float] | None:
    """Those that the case says, or an older opset meant; None for op.toml's default."""
    given = case.attributes.get(attribute.name)
    if given is None and attribute.name == "rows" and case.filled:
        given = case.filled[0]
    if given is None and attribute.before and case.opset < attribute.before[0]:
        given = attribute.before[1] if not facts.names[0][0] else None
    if given is None:
        return None
    if attribute.type == "choice":
        return [attribute.values.index(str(given))]
    return [float(each) for each in np.atleast_1d(given)]


def read_outputs(content: bytes, count: int) -> list[np.ndarray]:
    found = []
    for _ in range(count):
        (rank,) = struct.unpack_from("<i", content)
        shape = struct.unpack_from(f"<{rank}i", content, 4)
        begin, size = 4 + 4 * rank, int(np.prod(shape, dtype=np.int64))
        found.append(np.frombuffer(content, "<f4", size, begin).reshape(shape))
        content = content[begin + 4 * size :]
    return found
