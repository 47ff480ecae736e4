"""What stands still is told after the seconds that the device's options say."""

import os
import signal
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import LinkLostError
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.progress import Transfer
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import bench
from tests.integration.boards.strikes import Flow, during_runs
from tests.integration.processes import stop, wait_until, with_words

FOREVER = BenchPlan(warmup=0, iterations=0, seconds=3600)
# Before this, 120 s passed for a receiver and 48 for an agent.
LONGEST = 40


@pytest.fixture
def near(tmp_path):
    """This computer."""
    return on_board("local:", tmp_path / "work")


@pytest.fixture(params=["local", "ssh", "adb"])
def board(request, tmp_path, monkeypatch):
    """A board on each link, with seconds of its own; ``here`` is its work folder here."""
    if request.param == "local":
        return request.getfixturevalue("near")
    if request.param == "ssh":
        sshd = request.getfixturevalue("sshd")
        return on_board(sshd.uri, tmp_path / "work", sshd.options())
    request.getfixturevalue("adb_server")
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path))
    root = tmp_path / "virtual" / "android-arm64"
    return on_board("virtual:android-arm64", root / "data/local/tmp/deployx-edge")


@dataclass(frozen=True)
class OnBoard:
    device: Device
    here: str


def on_board(uri, here, options=None):
    options = replace(options or LinkOptions(), silence_seconds=3, answer_seconds=4)
    work = None if uri.startswith("virtual:") else str(here)
    device = Device(name="board", uri=uri, work_folder=work, options=options)
    return OnBoard(device=device, here=str(here))


def freeze(board, word):
    """The program itself; a shell that started it has no part in what it says."""
    for pid in with_words(word, board.here):
        if Path(f"/proc/{pid}/comm").read_text() != "sh\n":
            stop(pid)


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
        with open_session(board.device, progress=strike) as session:
            session.push(digits)

    assert "for 4 seconds" in told(story)
    wait_until(lambda: not with_words(board.here), "the end of what was started")


def test_a_frozen_agent_is_told_after_the_seconds_of_silence(board, digits):
    def story():
        flow = Flow()
        with (
            open_session(board.device, progress=flow) as session,
            during_runs(lambda: freeze(board, "serve"), flow),
        ):
            bench(session, digits, plan=FOREVER)

    assert "has not answered for 3 s" in told(story)
    wait_until(lambda: not with_words(board.here), "the end of what was started")


def test_a_frozen_agent_is_told_to_a_call_and_not_asked_again(near):
    def story():
        with open_session(near.device) as session:
            freeze(near, "serve")
            with pytest.raises(LinkLostError, match="not answered for 3 s"):
                session.client.describe()
            # It would answer, but what it says after a silence is of no session any more.
            for pid in with_words("serve", near.here):
                os.kill(pid, signal.SIGCONT)
            session.client.describe()

    assert "has not answered for 3 s" in told(story)


def test_an_agent_that_freezes_while_it_waits_its_turn_is_told(near):
    def strike(event):
        if getattr(event, "text", "").startswith("Waiting for"):
            freeze_the_other()

    def freeze_the_other():
        (waiting,) = set(with_words("serve", near.here)) - {first.agent_pid}
        stop(waiting)

    def story():
        with open_session(near.device, progress=strike):
            raise AssertionError("two have the board")

    with open_session(near.device) as first:
        assert "15 seconds" in told(story)
        first.client.ping()
