"""What a start loads: most of a short command's time is what it imports.

`benchmarks/start.py` shows the processor seconds; here stands what may be loaded at all, which
no load of the machine changes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.cli.app import COMMANDS, DEVICES, OPERATORS, RUNTIMES, SOURCES, SYSROOT

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
    "deployx_edge.runtime",
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
    "deployx_edge.processing.presets",
    "deployx_edge.runtimes",
    "deployx_edge.sources",
}
# What a warm bench needs beside: arrays, a connection to the agent, names of sources and runtimes.
OF_A_BENCH = {
    *("google", "grpc", "numpy"),
    "deployx_edge.agent.client",
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
# As many threads as there are once numpy is loaded too, after a command has run.
THREADS = """
import os, sys
sys.argv = ["deployx-edge", "--version"]
from deployx_edge.__main__ import main
try:
    main()
finally:
    import numpy
    print("THREADS", len(os.listdir("/proc/self/task")))
"""
COUNTING = """
import sys
from typer.core import TyperOption
made = []
original = TyperOption.__init__
TyperOption.__init__ = lambda *words, **named: made.append(1) or original(*words, **named)
sys.argv = ["deployx-edge", *sys.argv[1:]]
from deployx_edge.__main__ import main
try:
    main()
finally:
    print("OPTIONS", len(made))
"""


def last_word(code, folder, *words):
    """What a process of its own that runs a command says at its end."""
    environment = {key: each for key, each in os.environ.items() if "NUM_THREADS" not in key}
    environment |= {"DEPLOYX_EDGE_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1].partition(" ")[2]


def loaded(folder, *words):
    """The modules that a command has loaded at its end."""
    return set(last_word(CODE, folder, *words).split())


def top(name):
    return name.partition(".")[0]


def test_help_loads_the_listed_modules_only(tmp_path):
    found = loaded(tmp_path, "--help")
    commands = {f"deployx_edge.cli.{module}" for module in ("app", "phases")} | {
        function.__module__
        for group in (COMMANDS, DEVICES, OPERATORS, RUNTIMES, SOURCES, SYSROOT)
        for function in group.values()
    }
    modules = ("bench_comparison", "chip", "ending", "fallback", "option_values", "options")
    helpers = {f"deployx_edge.cli.{module}" for module in modules}
    ours = {name for name in found if top(name) == "deployx_edge"}
    assert ours == OURS | commands | helpers
    foreign = {top(name) for name in found} - set(sys.stdlib_module_names) - {"deployx_edge"}
    assert foreign == LIBRARIES
    assert not SLOW_STANDARD & {top(name) for name in found}


def test_only_the_called_command_has_its_options_read(tmp_path):
    """Beside them are those of the whole tool; bench alone has 40."""
    few = [["--help"], ["devices", "--help"], ["targets"]]
    assert all(int(last_word(COUNTING, tmp_path, *words)) <= 10 for words in few)
    assert int(last_word(COUNTING, tmp_path, "bench", "--help")) > 30


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
    converters = {"sources.onnx.file", "sources.torch.export", "workflows.convert.exports"}
    converters |= {"runtimes.converter", "runtimes.ncnn", "runtimes.onnxruntime"}
    unused = {*(HEAVY - OF_A_BENCH), "importlib.metadata", "email.message", "tarfile"}
    unused |= {f"deployx_edge.{module}" for module in converters}
    assert not unused & (found | {top(name) for name in found})


def test_a_conversion_of_an_onnx_file_loads_nothing_of_others(tmp_path):
    digits = Path(__file__).resolve().parents[2] / "examples/digits/digits_cnn.onnx"
    found = loaded(tmp_path, "convert", str(digits), "-o", "bundle")
    assert "deployx_edge.runtimes.proof" in found
    others = ("sources.onnx.partition", "sources.torch.export", "workflows.convert.partition")
    assert not found & {f"deployx_edge.{each}" for each in others}


def test_no_threads_wait_for_products_of_matrices(tmp_path):
    assert last_word(THREADS, tmp_path) == "1"
