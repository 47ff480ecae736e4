"""What every test of a board begins with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.test_cli import DIGITS
from tests.runtimes import STANDING_IN
from tests.sampling import sampled


@pytest.fixture(scope="session")
def digits() -> Bundle:
    """The example model, converted."""
    return make_bundle(DIGITS)


@pytest.fixture
def in_turn(request: pytest.FixtureRequest) -> Callable[[int], None]:
    """Skips a test where it is the turn of another runtime whose libraries stand in (the module's
    is ``NAME``): each run has one of them, by ``--sample-seed``. ``shift`` is another number for
    each such test, so that they do not all go with the same one."""

    def skip_unless(shift: int) -> None:
        turns = [*STANDING_IN[shift:], *STANDING_IN[:shift]]
        drawn = sampled(turns, request.config, 1)
        if request.module.NAME not in drawn:
            pytest.skip(f"of runtimes that stand in, {', '.join(drawn)} had this run: pytest --all")

    return skip_unless


@pytest.fixture
def wrongs(request: pytest.FixtureRequest, in_turn: Callable[[int], None]) -> list[str]:
    """Which rows of the module's table ``WRONG``, what goes wrong on its board, have this run."""
    in_turn(2)
    return sampled(list(request.module.WRONG), request.config, 1)
