"""What holds for all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No example is a failure because the machine is busy, and none is found by luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="Whole matrices in place of samples.")
    parser.addoption(
        "--sample-seed", type=int, default=0, help="Which samples are drawn (tests/sampling.py)."
    )
