"""Every runtime on this computer as a board: the last step of docs/adding-a-runtime.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.device import Device
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.runtime import RUNTIMES
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.run import run, run_bundle_here
from tests.integration.test_cli import DIGITS
from tests.runtimes import ON_BOARDS, here

# A simulated processor's takes long, and is made by the same words to the same agent.
PREPARING = [
    name for name in ON_BOARDS if worker_facts(name).prepares and not RUNTIMES[name].simulated
]


@pytest.mark.parametrize("runtime", here(ON_BOARDS))
def test_a_runtime_measures_and_computes_the_digits(runtime: str) -> None:
    bundle = make_bundle(DIGITS, options=BundleOptions(runtime=runtime))
    image = {"image": np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)}
    with open_session(Device(name="here", uri="local:")) as session:
        found = run(session, bundle, image)
        (result,) = bench(session, bundle, plan=BenchPlan(warmup=1, iterations=5))
        layers = profile(session, bundle, warmup=1, iterations=2).profile.layers
    wanted = run_bundle_here(bundle, image)
    np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=1e-4, atol=1e-4)
    assert len(result.bench.samples_ns) == 5
    # What a runtime tells of its layers, it tells of those that it ran.
    assert all(len(layer.samples_ns or layer.samples_cycles) == 2 for layer in layers)
    assert all(layer.precision in (None, "", "fp32") for layer in layers)


@pytest.mark.parametrize("runtime", here(PREPARING))
def test_what_a_board_prepared_is_made_again_where_that_is_asked_for(
    runtime: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    bundle = make_bundle(DIGITS, folder, options=BundleOptions(runtime=runtime))
    work = tmp_path / "work"
    (tmp_path / "deployx.toml").write_text(
        f'[devices.here]\nuri = "local:"\nwork_folder = "{work}"\n'
    )

    def made(*words: str) -> list[tuple[str, int]]:
        command = ["bench", bundle.folder, "--device", "here", "--iterations", "1", "--no-link"]
        done = subprocess.run(
            [sys.executable, "-m", "deployx_edge", *map(str, command), *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [(path.name, path.stat().st_ino) for path in (work / "prepared").glob("*.*")]

    first = made()
    assert len(first) == 1
    assert made() == first
    # Once for all repeats, in place of what was there.
    again = made("--rebuild", "--repeat", "2")
    assert len(again) == 1
    assert again != first
