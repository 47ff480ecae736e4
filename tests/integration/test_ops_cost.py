"""What a run of our operators' kernels costs beside its arithmetic: memory, and a thread's work.

Counted by a program of the kernels alone, at sizes that networks have (`benchmarks/`): nothing here
depends on time. That ncnn's threads run the rounds is for the C++ tests to say.
"""

from __future__ import annotations

import runpy
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from deployx_edge.operator_facts import operator_named
from deployx_edge.workflows.operators.cases import build_cases
from deployx_edge.workflows.operators.testing import cases_of
from tests.sampling import sampled

from .test_ops_on_targets import OPERATORS, answer_of, compile_kernels

ROOT = Path(__file__).resolve().parents[2]
CASES = runpy.run_path(str(ROOT / "benchmarks" / "operator_cases.py"))["CASES"]
# Those that a network waits for.
HEAVY = ("deform_conv", "grid_sample", "multi_scale_deformable_attention", "top_k")


def test_the_benchmark_has_every_operator_that_ncnn_has() -> None:
    assert sorted(CASES) == sorted(facts.name for facts in OPERATORS)


def test_memory_is_taken_before_the_loop_and_threads_share_the_work(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    rest = [facts for facts in OPERATORS if facts.name not in HEAVY]
    chosen = [operator_named(name) for name in HEAVY] + sampled(rest, pytestconfig, 2)
    program = [str(compile_kernels(chosen, "", tmp_path)), "cost"]
    for facts in chosen:
        few = max(cost_of(program, facts.name, case)[0] for case in cases_of(facts))
        for case in CASES[facts.name]:
            if case.name == "masked 128x64x64" and not pytestconfig.getoption("--all"):
                continue  # without a runtime's own product of matrices it takes seconds
            taken, values, missing = cost_of(program, facts.name, case)
            # Thousands of rows and rounds, and not a piece of memory more than for a handful.
            assert taken <= few, (facts.name, case.name, taken, few)
            # A single row of values has one order, and scattering goes by the order of updates.
            if facts.name in HEAVY and case.name not in ("300 of 8400", "300 of 672000"):
                assert missing >= values / 3, (facts.name, case.name, missing, values)


def cost_of(program: Sequence[str], name: str, case: object) -> tuple[int, int, int]:
    """Pieces of memory that a run takes; values; those that a second thread computes."""
    facts = operator_named(name)
    _, (part,) = build_cases(facts, [case])  # type: ignore[list-item]
    taken, values, missing = struct.unpack("<3i", answer_of(program, facts, part))
    return taken, values, missing
