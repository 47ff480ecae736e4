"""What stands still is told after the seconds that the device's options say."""

import os
import signal
import threading

import pytest

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import LinkLostError
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.progress import Transfer
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import bench
from tests.integration.boards.strikes import Flow, during_runs
from tests.integration.processes import wait_until, with_words

FOREVER = BenchPlan(warmup=0, iterations=0, seconds=3600)
# Before this, 120 s passed for a receiver and 48 for an agent.
LONGEST = 40


@pytest.fixture
def board(tmp_path):
    options = LinkOptions(silence_seconds=3, answer_seconds=4)
    return Device(name="near", uri="local:", work_folder=str(tmp_path / "work"), options=options)


def freeze(board, word):
    for pid in with_words(word, board.work_folder):
        os.kill(pid, signal.SIGSTOP)


def told(story):
    """The error of a story, which must end long before it once did."""
    found = []

    def run():
        with pytest.raises(LinkLostError) as error:
            story()
        found.append(str(error.value))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONGEST)
    assert found, "nothing was told"
    return found[0]


def test_a_frozen_receiver_is_told_after_the_seconds_for_an_answer(board, digits):
    def strike(event):
        if isinstance(event, Transfer):
            freeze(board, "receive")

    def story():
        with open_session(board, progress=strike) as session:
            session.push(digits)

    assert "for 4 seconds" in told(story)
    wait_until(lambda: not with_words(board.work_folder), "the end of what was started")


def test_a_frozen_agent_is_told_after_the_seconds_of_silence(board, digits):
    def story():
        flow = Flow()
        with (
            open_session(board, progress=flow) as session,
            during_runs(lambda: freeze(board, "serve"), flow),
        ):
            bench(session, digits, plan=FOREVER)

    assert "has not answered for 3 s" in told(story)
    wait_until(lambda: not with_words(board.work_folder), "the end of what was started")


def test_a_frozen_agent_is_told_to_a_call_and_not_asked_again(board):
    def story():
        with open_session(board) as session:
            freeze(board, "serve")
            with pytest.raises(LinkLostError, match="not answered for 3 s"):
                session.client.describe()
            # It would answer, but what it says after a silence is of no session any more.
            for pid in with_words("serve", board.work_folder):
                os.kill(pid, signal.SIGCONT)
            session.client.describe()

    assert "has not answered for 3 s" in told(story)


def test_an_agent_that_freezes_while_it_waits_its_turn_is_told(board):
    def strike(event):
        if getattr(event, "text", "").startswith("Waiting for"):
            freeze_the_other()

    def freeze_the_other():
        (waiting,) = set(with_words("serve", board.work_folder)) - {first.agent_pid}
        os.kill(waiting, signal.SIGSTOP)

    def story():
        with open_session(board, progress=strike):
            raise AssertionError("two have the board")

    with open_session(board) as first:
        assert "15 seconds" in told(story)
        first.client.ping()
