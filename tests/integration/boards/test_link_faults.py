"""The cable goes, in each phase of the main job, over each link that has one."""

import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import LinkLostError
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.progress import Runs, Stage, Transfer
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import bench
from tests.integration.android import adb, end_server, running_phone
from tests.integration.board import MissingPartError, free_port, running_sshd
from tests.integration.foreign import register
from tests.integration.processes import descendants, wait_until, with_words

FOREVER = BenchPlan(warmup=0, iterations=0, seconds=3600)
QUICK = BenchPlan(warmup=1, iterations=10)
SILENCE_SECONDS = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """A board, where its work folder lies here, and what happens to the link to it."""

    board: Device
    here: Path
    in_use: Callable[[], object]
    fault: Callable[[], object]
    mend: Callable[[], object]


@contextmanager
def over_ssh(folder, fault):
    with running_sshd(folder / "sshd") as sshd:
        here = folder / "work"
        options = sshd.options(silence_seconds=SILENCE_SECONDS)
        number = {"sshd killed": signal.SIGKILL, "ssh frozen": signal.SIGSTOP}[fault]
        yield Case(
            board=Device(name="far", uri=sshd.uri, work_folder=str(here), options=options),
            here=here,
            in_use=lambda: set(with_words("sshd: ", "@notty")) & set(sshd.session_pids()),
            # What runs on the board does not notice by itself.
            fault=lambda: sshd.signal_links(number),
            mend=lambda: sshd.signal_links(signal.SIGCONT),
        )


@contextmanager
def over_adb(folder, fault):
    try:
        register("aarch64")
    except MissingPartError as missing:
        pytest.skip(f"a device that runs arm64 programs by itself needs {missing}")
    with running_phone(folder / "phone") as phone:
        options = LinkOptions(silence_seconds=SILENCE_SECONDS)
        try:
            yield Case(
                board=Device(name="phone", uri=phone.uri, options=options),
                here=phone.root / "data/local/tmp/deployx-edge",
                in_use=lambda: descendants(phone.process.pid),
                fault={
                    "adb server killed": lambda: adb("kill-server"),
                    "device started anew": lambda: adb("-s", phone.serial, "reboot"),
                    "device frozen": lambda: phone.process.send_signal(signal.SIGSTOP),
                }[fault],
                mend=lambda: phone.process.send_signal(signal.SIGCONT),
            )
        finally:
            end_server()


FAULTS = {
    "sshd killed": over_ssh,
    "ssh frozen": over_ssh,
    "adb server killed": over_adb,
    "device started anew": over_adb,
    "device frozen": over_adb,
}


class Breaking:
    """Passed as ``progress``: breaks the link once, as soon as ``phase`` is reached."""

    def __init__(self, phase, case):
        self._is_reached = {
            "probe": lambda event: isinstance(event, Stage),
            "push": lambda event: (
                isinstance(event, Transfer) and 2 * event.sent_bytes >= event.total_bytes
            ),
            "load": lambda event: isinstance(event, Stage) and event.text.startswith("Loading"),
            "bench": lambda event: isinstance(event, Runs),
        }[phase]
        self._case = case
        self._waits_for_use = phase == "probe"
        self.thread = None

    def __call__(self, event):
        if self.thread is None and self._is_reached(event):
            self.thread = threading.Thread(target=self._break)
            self.thread.start()
            if not self._waits_for_use:
                self.thread.join()

    def _break(self):
        if self._waits_for_use:
            wait_until(self._case.in_use, "the login")
        self._case.fault()


@pytest.mark.parametrize("phase", ["probe", "push", "load", "bench"])
@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_an_error_that_leaves_the_board_free_and_clean(
    fault, phase, digits, tmp_path, monkeypatch
):
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    with FAULTS[fault](tmp_path, fault) as case:
        breaking = Breaking(phase, case)
        with (
            pytest.raises(LinkLostError) as caught,
            open_session(case.board, progress=breaking) as session,
        ):
            session.push(digits)
            bench(session, digits, plan=FOREVER)
        breaking.thread.join()
        assert caught.value.remedy
        case.mend()
        wait_until(lambda: not with_words("serve", str(case.here)), "the end of the agent")
        with open_session(case.board, wait=False) as session:
            push = session.push(digits)
            (result,) = bench(session, digits, plan=QUICK)
        assert len(result.bench.samples_ns) == QUICK.iterations
        if phase == "push":
            assert push.sent_bytes < push.total_bytes
        elif phase in ("load", "bench"):
            assert push.sent_bytes == 0
        # What the first receiver had open goes when it ends, however late it hears of the cut.
        wait_until(lambda: not list((case.here / "incoming").iterdir()), "empty incoming/")
        assert len(list((case.here / "sessions").iterdir())) <= 1
        wait_until(lambda: not with_words("serve", str(case.here)), "the end of the agent")
