"""ONNX Runtime with kernels in a process of its own: what it gives, and how its ends are told."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_with_outputs
from deployx_edge.runtimes.kernel_process import KernelProcess
from deployx_edge.runtimes.runner_process import RuntimeDiedError, runs_at_most
from tests.integration.models.onnx_models import model, save

FED = {
    "x": np.random.default_rng(4).standard_normal((1, 2, 5, 6)).astype(np.float32),
    "grid": np.random.default_rng(5).uniform(-1, 1, (1, 3, 4, 2)).astype(np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "first"),
        helper.make_node("grid_sampler", ["a", "grid"], ["y"], "sample", domain="mmdeploy"),
    ]
    shapes = {name: array.shape for name, array in FED.items()}
    made = model(nodes, shapes, {"y": (1, 2, 3, 4)}, opset=17)
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    return save(made, tmp_path / "m.onnx")


@pytest.fixture
def process(path: Path) -> Iterator[KernelProcess]:
    opened = KernelProcess(path, ["grid_sampler"])
    yield opened
    opened.close()


def test_it_gives_what_a_session_here_gives(process: KernelProcess, path: Path) -> None:
    for names in (["y"], ["a", "y"]):
        found = process.run(names, FED)
        wanted = open_with_outputs(path, names).run(names, FED)
        for name, array in zip(names, wanted, strict=True):
            np.testing.assert_array_equal(found[name], array)


def test_what_it_refuses_is_told_and_it_goes_on(process: KernelProcess) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx does not run in ONNX Runtime: .*grid"):
        process.run(["y"], {**FED, "grid": FED["grid"][:, :, :, :1]})
    assert process.run(["y"], FED)["y"].shape == (1, 2, 3, 4)


def test_a_run_without_an_end_is_ended_and_told(process: KernelProcess) -> None:
    process.run(["y"], FED)
    os.kill(process.pid, signal.SIGSTOP)
    with (
        runs_at_most(0.5),
        pytest.raises(RuntimeDiedError, match=r"kernels of grid_sampler did not come to an end"),
    ):
        process.run(["y"], FED)


def test_a_death_is_told(process: KernelProcess) -> None:
    process.run(["y"], FED)
    os.kill(process.pid, signal.SIGSEGV)
    with pytest.raises(RuntimeDiedError, match=r"kernels of grid_sampler died of SIGSEGV on m"):
        process.run(["y"], FED)
