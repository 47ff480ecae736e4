"""A runtime is one folder and one row; nobody else knows it by name."""

import ast
from pathlib import Path

import pytest

import deployx_edge
from deployx_edge.errors import UsageError
from deployx_edge.measurement.fallback import fallback_warnings
from deployx_edge.measurement.values import (
    PrecisionCount,
)
from deployx_edge.resources import data_folder
from deployx_edge.runtime import (
    DEFAULT_RUNTIME,
    RUNTIMES,
    find_runtime,
    owner_of,
    precision_meant,
)
from deployx_edge.runtimes import Runtime, load_runtime
from tests.runtimes import here

PACKAGE = Path(deployx_edge.__file__).parent
ASKED = sorted(name for name in vars(Runtime) if not name.startswith("_"))
# The reference of all runtimes is a package that is a runtime, too.
ALLOWED = {"graph/onnx_runtime.py"}


def folders(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir() if any(entry.glob("[!_]*.*"))}


def test_each_row_has_its_folder_and_each_folder_its_row():
    rooms = {path for path in (PACKAGE / "runtimes").iterdir() if path.is_dir()}
    assert {path.name for path in rooms if (path / "__init__.py").is_file()} == set(RUNTIMES)


def test_each_worker_is_of_a_runtime():
    workers = folders(data_folder("device_agent") / "workers") - {"core"}
    assert workers
    assert workers <= set(RUNTIMES)


@pytest.mark.parametrize("name", [*here(), *(n for n in RUNTIMES if not RUNTIMES[n].runs_here)])
def test_each_runtime_gives_what_is_asked_of_all(name):
    module = load_runtime(name)
    assert ASKED
    for asked in ASKED:
        assert callable(getattr(module, asked)), asked
    assert module.version()
    assert module.make_runner().name_of("images")
    for converter in module.converters().values():
        assert converter().runtime == name
        assert converter().precisions


def test_no_runtime_is_named_outside_its_folder():
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        if place in ALLOWED or place == "runtime.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            named = isinstance(node, ast.Constant) and node.value in RUNTIMES
            if named and not place.startswith(f"runtimes/{node.value}/"):
                found.append(f"{place}:{node.lineno} {node.value}")
    assert not found


def test_an_unknown_runtime_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=f"Did you mean {DEFAULT_RUNTIME}") as caught:
        find_runtime(DEFAULT_RUNTIME + "n")
    assert all(name in caught.value.remedy for name in RUNTIMES)


def test_the_owner_of_a_file_is_told_by_its_suffix():
    for row in RUNTIMES.values():
        if row.own_suffix:
            assert owner_of(Path("model" + row.own_suffix)) == row
    assert owner_of(Path("model")) is None
    assert owner_of(Path("model.onnx")) is None


def test_half_floats_are_no_fallback_of_a_runtime_without_fp32():
    """fp32 is what holds where nobody chose."""
    without = [row for row in RUNTIMES.values() if row.no_fp32]
    assert without
    for row in without:
        assert [precision_meant(row.name, asked) for asked in ("fp32", "fp16", "int8")] == [
            *("fp16", "fp16", "int8")
        ]
        counts = (PrecisionCount(precision="fp16", layers=9),)
        meant = precision_meant(row.name, "fp32")
        assert not fallback_warnings(meant, "fp16", counts, ())
    assert precision_meant(DEFAULT_RUNTIME, "fp32") == "fp32"
