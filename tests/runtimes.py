"""Which runtimes a test is about, and which of them are on this computer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from deployx_edge.resources import host_target_id
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES
from deployx_edge.runtimes import load_runtime
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_facts

# Those that this computer runs itself, or simulates.
RUN_HERE = tuple(row.name for row in RUNTIMES.values() if row.runs_here)
# They read ONNX and take whatever it says: every element type, open axes, every operator.
GENERAL = tuple(
    row.name
    for row in RUNTIMES.values()
    if row.reads_onnx and row.runs_here and not row.dtypes and not row.fixed_shapes
)
# What runs on any processor, here and on boards.
ON_PROCESSORS = (DEFAULT_RUNTIME, *GENERAL)
# Those that this computer runs as a board. Others need a maker's libraries; on boards where such
# stand in, the same is asked of them (tests/integration/boards/generic.py).
ON_BOARDS = tuple(
    name
    for name in RUNTIMES
    if name in find_target(host_target_id()).runtimes and worker_facts(name).board is None
)
STANDING_IN = tuple(name for name in RUNTIMES if name not in ON_BOARDS)


def missing(name: str) -> str:
    """What a runtime lacks on this computer, "" where nothing."""
    lacking = [need for need in load_runtime(name).setup().needs() if not need.present]
    return ", ".join(f"{need.name} ({need.found}; {need.remedy})" for need in lacking)


def here(names: Iterable[str] = RUN_HERE) -> list[Any]:
    """The runtimes as parameters of a test, which is skipped where one lacks something."""
    return [
        pytest.param(name, marks=pytest.mark.skipif(bool(missing(name)), reason=missing(name)))
        for name in names
    ]
