"""What every test of a board begins with."""

from __future__ import annotations

import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.test_cli import DIGITS


@pytest.fixture(scope="session")
def digits() -> Bundle:
    """The example model, converted."""
    return make_bundle(DIGITS)
