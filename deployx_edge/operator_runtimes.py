"""Which runtimes' workers are built with operators of our own: their CMakeLists.txt say so."""

from __future__ import annotations

import re
from functools import cache

from deployx_edge.files import SMALL, read_text
from deployx_edge.resources import data_folder
from deployx_edge.runtime import RUNTIMES

_CMAKE = "CMakeLists.txt"


@cache
def carrying_runtimes() -> tuple[str, ...]:
    """The runtimes whose worker is built with operators of our own."""
    return _built_with("dx_operators", "dx_device_operators")


@cache
def device_runtimes() -> tuple[str, ...]:
    """Those of them that compute operators on GPUs."""
    return _built_with("dx_device_operators")


def _built_with(*functions: str) -> tuple[str, ...]:
    """The runtimes whose worker's CMakeLists.txt calls one of them."""
    workers = data_folder("device_agent") / "workers"
    call = "|".join(functions)
    return tuple(
        name
        for name in RUNTIMES
        if (workers / name / _CMAKE).is_file()
        and re.search(rf"\b({call})\(\S+ {name}\)", read_text(workers / name / _CMAKE, most=SMALL))
    )
