"""``docs/support.md``: what the matrix of single operators says of each operator.

``python -m tests.integration.models.support_table`` writes it; tests hold it to what the
matrix gives, the column of ``quantize`` with ``pytest --all``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from deployx_edge.operator_facts import find_operator
from deployx_edge.runtimes.ncnn.native.table import TABLE
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import Outcome, run_all
from tests.integration.models.quantize_runner import quantize_all

PAGE = Path(__file__).resolve().parents[3] / "docs" / "support.md"
_HEAD = """\
# Operators in ncnn

Written by `python -m tests.integration.models.support_table`; a test holds it to what was
found. Each number counts graphs of one operator (a few hold more), with shapes of one to five
axes and attributes at their corners, that were converted, run in ncnn on three inputs with and
without packed channels, and compared with ONNX Runtime. What is not right is refused by name,
with the reason; nothing else was let pass. "Quantized" counts the graphs that `quantize` made an
int8 bundle of, between a convolution and a matrix in int8 whose scales come out right; the rest
was refused as `convert` refuses it there, or gave nothing to calibrate on (NaN, no float output).
What whole networks become of this is in [architectures.md](architectures.md).

| Operator | Right | Quantized | Refused | Why |
|---|---|---|---|---|
"""
_COLUMNS = 5
_NUMBERS = re.compile(r"'[^']*'|\d+(x\d+)+|\(\d[^)]*\)|\b\d+\b")


def quantized_counts(outcomes: Mapping[str, Outcome]) -> Counter[str]:
    """By operator, how many graphs with it were quantized."""
    return Counter(
        operator
        for case in all_cases()
        if outcomes[case.name].verdict == "right"
        for operator in {node.op_type for node in case.model.graph.node}
    )


def counts_of_page() -> Counter[str]:
    """The same as the page says it."""
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return Counter({row[1].strip(): int(row[3]) for row in rows if _is_entry(row)})


def _is_entry(row: list[str]) -> bool:
    return len(row) > _COLUMNS and row[3].strip().isdigit()


def support_text(outcomes: Mapping[str, Outcome], quantized: Mapping[str, int]) -> str:
    """The page for these outcomes, and for so many graphs that were quantized."""
    right: dict[str, int] = defaultdict(int)
    refused: dict[str, int] = defaultdict(int)
    reasons: dict[str, set[str]] = defaultdict(set)
    for case in all_cases():
        outcome = outcomes[case.name]
        if outcome.verdict == "right":
            for operator in {node.op_type for node in case.model.graph.node}:
                right[operator] += 1
            continue
        operator, _, reason = outcome.detail.partition(": ")
        refused[operator] += 1
        reasons[operator].add(_general(reason.partition("; ")[0]))
    for operator in right:
        if operator not in TABLE and operator not in ("Constant", "Shape"):
            own = find_operator("", operator) is not None
            reasons[operator].add(
                "an operator of our own (ops/)" if own else "rewritten or folded before"
            )
    rows = [
        f"| {operator} | {right[operator]} | {quantized.get(operator, 0)} | {refused[operator]} | "
        f"{'; '.join(sorted(reasons[operator]))} |"
        for operator in sorted({*TABLE, *reasons} - {""})
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _general(reason: str) -> str:
    """A reason without the names and sizes of the one graph that it was given for."""
    return _NUMBERS.sub("…", reason)


if __name__ == "__main__":
    names = [case.name for case in all_cases()]
    counts = quantized_counts(quantize_all("ncnn", names))
    PAGE.write_text(support_text(run_all(2), counts), encoding="utf-8")
