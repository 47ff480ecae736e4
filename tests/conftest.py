"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# As the command line does for itself, before numpy and PyTorch are loaded: threads that turn round
# while they wait take the processor from the tests beside.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No example is a failure because the machine is busy, and none is found by luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Whole matrices in place of samples.")
    parser.addoption(
        "--sample-seed", type=int, default=0, help="Which samples are drawn (tests/sampling.py)."
    )
