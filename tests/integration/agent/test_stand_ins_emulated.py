"""The life of workers whose makers' libraries are stood in for, on an emulated board: the agent and
the workers of 64-bit Arm under qemu, by the cases that this computer's own go through.

What is compiled takes minutes once, and each load a second or more, so all of it goes with --all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.agent.emulated import arm_rows, emulated_agent, emulator
from tests.integration.agent.session import Session
from tests.integration.agent.stand_in import ALL, StandIn
from tests.integration.agent.test_stand_ins import CASES, Board, goes_on
from tests.integration.agent.test_tensorrt import is_built_once, is_cancelled

# Of loads that are to succeed on a busy computer, and of runs that are to hang.
LATER_MS = 40_000


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> dict[str, StandIn]:
    if not request.config.getoption("--all"):
        pytest.skip("emulated workers whose libraries stand in go with --all")
    return arm_rows()


Start = Callable[[StandIn, str], Session]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an agent of a board whose worker's libraries behave as the words say."""
    sessions: list[Session] = []
    work = tmp_path / "work"
    (work / "store").mkdir(parents=True)

    def start_one(row: StandIn, words: str) -> Session:
        launcher = [word for each in emulator() for word in ("--launcher", each)]
        options = ["--heartbeat-seconds", "900", "--emulated", *launcher]
        environment = {"LD_LIBRARY_PATH": str(row.stand_ins), "DX_STAND_IN": words}
        agent = emulated_agent(tmp_path, row)
        sessions.append(Session(agent, work, options, environment=environment))
        sessions[-1].shake()
        return sessions[-1]

    yield start_one
    for session in sessions:
        session.close()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("runtime", [row.name for row in ALL])
def test_a_board_goes_on(
    rows: dict[str, StandIn], start: Start, tmp_path: Path, runtime: str, name: str
) -> None:
    row = rows[runtime]
    if name in row.unusual:
        pytest.skip(row.unusual[name])
    words = tmp_path / "words"
    words.touch()
    goes_on(Board(start(row, f"@{words}"), words, LATER_MS), row, name)


def test_an_engine_is_built_once_and_found_again(rows: dict[str, StandIn], start: Start) -> None:
    """Not by another version, for another GPU or options; and anew where that is asked for."""
    row = rows["tensorrt"]
    is_built_once(lambda words="": start(row, words), row)


def test_a_build_that_is_cancelled_leaves_nothing(rows: dict[str, StandIn], start: Start) -> None:
    row = rows["tensorrt"]
    is_cancelled(lambda words="": start(row, words), row)
