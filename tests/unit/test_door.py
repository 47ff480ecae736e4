"""Scripts have one door: ``import deployx_edge``."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import deployx_edge

FILE = Path(deployx_edge.__file__)


def typed_names() -> dict[str, str]:
    """What type checkers are told, by name: where it is from."""
    (block,) = [node for node in ast.parse(FILE.read_text()).body if isinstance(node, ast.If)]
    return {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        for alias in node.names
    }


def test_each_name_is_there_and_told_to_type_checkers():
    told = typed_names()
    assert {"__version__", *told} == set(deployx_edge.__all__)
    assert len(set(deployx_edge.__all__)) == len(deployx_edge.__all__)
    for name, place in told.items():
        assert place == f"deployx_edge.{deployx_edge._PLACES[name]}"
        assert getattr(deployx_edge, name).__name__ == place.partition(":")[2]


def test_what_is_not_there_is_said():
    assert "bench" in dir(deployx_edge)
    with pytest.raises(AttributeError, match="no attribute 'benchmark'"):
        _ = deployx_edge.benchmark


def test_the_door_brings_nothing_in_by_itself():
    code = "import sys, deployx_edge; print([m for m in sys.modules if m[:13] == 'deployx_edge.'])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
