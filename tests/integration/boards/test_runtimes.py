"""Every runtime on this computer as a board: the last step of docs/adding-a-runtime.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from deployx_edge.device import Device
from deployx_edge.runtime import RUNTIMES
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run_bundle_here
from tests.integration.boards.generic import measures_and_computes, prepared_is_made_again
from tests.integration.test_cli import DIGITS
from tests.runtimes import ON_BOARDS, here

# A simulated processor's takes long, and is made by the same words to the same agent.
PREPARING = [
    name for name in ON_BOARDS if worker_facts(name).prepares and not RUNTIMES[name].simulated
]


@pytest.mark.parametrize("runtime", here(ON_BOARDS))
def test_a_runtime_measures_and_computes_the_digits(runtime: str) -> None:
    bundle = make_bundle(DIGITS, options=BundleOptions(runtime=runtime))
    with open_session(Device(name="here", uri="local:")) as session:
        measures_and_computes(session, bundle, partial(run_bundle_here, bundle))


@pytest.mark.parametrize("runtime", here(PREPARING))
def test_what_a_board_prepared_is_made_again_where_that_is_asked_for(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(DIGITS, tmp_path / "model", options=BundleOptions(runtime=runtime))
    work = tmp_path / "work"
    (tmp_path / "deployx.toml").write_text(
        f'[devices.here]\nuri = "local:"\nwork_folder = "{work}"\n'
    )
    monkeypatch.chdir(tmp_path)
    prepared_is_made_again(bundle, "here", work)
