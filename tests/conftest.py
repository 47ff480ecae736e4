"""What holds for all tests."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import settings

# As the command line does for itself, before numpy and PyTorch are loaded: threads that turn round
# while they wait take the processor from the tests beside.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What the tool remembers of its runs is the user's, and not of tests.
_STATE = tempfile.TemporaryDirectory(prefix="deployx-edge-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name

# No example is a failure because the machine is busy, and none is found by luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Whole matrices in place of samples.")
    parser.addoption(
        "--sample-seed", type=int, default=0, help="Which samples are drawn (tests/sampling.py)."
    )
