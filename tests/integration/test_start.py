"""What a start loads: most of a short command's time is what it imports.

`benchmarks/start.py` shows the processor seconds; here stands what may be loaded at all, which
no load of the machine changes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.cli.app import app

# Loaded by the process itself and by what reads the command line (typer and its two helpers).
LIBRARIES = {"annotated_doc", "shellingham", "typer"}
OURS = {
    "deployx_edge",
    "deployx_edge.__main__",
    "deployx_edge.cli",
    "deployx_edge.errors",
    "deployx_edge.measurement",
    "deployx_edge.measurement.choices",
    "deployx_edge.resources",
    "deployx_edge.scratch",
    "deployx_edge.visible",
}
# Of Python's own those that take milliseconds, or bring many others along.
SLOW_STANDARD = {
    *("asyncio", "concurrent", "email", "hashlib", "http", "json", "logging", "multiprocessing"),
    *("random", "socket", "sqlite3", "ssl", "statistics", "tempfile", "unittest", "webbrowser"),
}
HEAVY = {
    *("PIL", "conan", "conans", "cryptography", "elftools", "google", "grpc"),
    *("matplotlib", "ncnn", "numpy", "onnx", "onnxruntime", "paramiko", "pydantic"),
    *("pydantic_core", "requests", "scipy", "sympy", "tomlkit", "torch", "urllib3", "yaml"),
    "deployx_edge.agent.client",
    "deployx_edge.crossbuild.builder",
    "deployx_edge.measurement.values",
    "deployx_edge.runtimes",
    "deployx_edge.sources",
}
CODE = """
import sys
there = set(sys.modules)
sys.argv = ["deployx-edge", *sys.argv[1:]]
from deployx_edge.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    print("LOADED", *sorted(set(sys.modules) - there))
"""


def loaded(folder, *words):
    """The modules that a command of a process of its own has loaded at its end."""
    environment = {**os.environ, "DEPLOYX_EDGE_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("LOADED ")[2].split())


def top(name):
    return name.partition(".")[0]


def test_help_loads_the_listed_modules_only(tmp_path):
    found = loaded(tmp_path, "--help")
    commands = {f"deployx_edge.cli.{module}" for module in ("app", "phases")} | {
        command.callback.__module__
        for group in (app, *(each.typer_instance for each in app.registered_groups))
        for command in group.registered_commands
    }
    helpers = {f"deployx_edge.cli.{each}" for each in ("bench_comparison", "ending", "options")}
    ours = {name for name in found if top(name) == "deployx_edge"}
    assert ours == OURS | commands | helpers
    foreign = {top(name) for name in found} - set(sys.stdlib_module_names) - {"deployx_edge"}
    assert foreign == LIBRARIES
    assert not SLOW_STANDARD & {top(name) for name in found}


@pytest.mark.parametrize("words", [["targets"], ["devices", "list"]], ids=" ".join)
def test_a_list_loads_nothing_heavy(words, tmp_path, adb_server):
    found = loaded(tmp_path, *words)
    assert "rich" in found  # it was shown
    assert not HEAVY & (found | {top(name) for name in found})


def test_a_warm_bench_loads_no_converter(tmp_path):
    digits = str(Path(__file__).resolve().parents[2] / "examples/digits/digits_cnn.onnx")
    words = ["push-and-bench", digits, "--device", "local:", "--iterations", "1", "--no-link"]
    loaded(tmp_path, *words)
    found = loaded(tmp_path, *words)
    assert "grpc" in found
    heavy = HEAVY - {"deployx_edge.agent.client", "deployx_edge.crossbuild.builder", "google"}
    heavy -= {"deployx_edge.measurement.values", "deployx_edge.sources", "grpc", "numpy"}
    converters = {"deployx_edge.workflows.convert.conversion", "deployx_edge.sources.onnx.walk"}
    assert not (heavy | converters) & (found | {top(name) for name in found})
