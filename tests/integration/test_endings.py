"""Ends that nobody asked for: a reader that goes, signals, kills, and what they leave behind."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.processes import descendants, is_alive, wait_until, wait_until_gone

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
CALIBRATION = ROOT / "examples" / "digits" / "digits_calibration.npz"
COMMAND = Path(sys.executable).parent / "deployx-edge"
READER_GONE = 141
PATIENCE = 120


class Place:
    """A home of a test's own: its cache, temporary folder and current folder."""

    def __init__(self, folder):
        self.here, self.temporary = folder / "here", folder / "temporary"
        for each in (self.here, self.temporary):
            each.mkdir()
        self.environment = {
            **os.environ,
            "DEPLOYX_EDGE_CACHE": str(folder / "cache"),
            "TMPDIR": str(self.temporary),
        }

    def start(self, *words, **streams):
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(
            [COMMAND, *map(str, words)], cwd=self.here, env=self.environment, text=True, **given
        )

    def left(self):
        """What lies in the temporary folder and beside the results."""
        return sorted([*self.temporary.iterdir(), *self.here.glob(".*")])

    def next_run(self):
        done = self.start("targets")
        done.communicate(timeout=PATIENCE)
        assert done.returncode == 0


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@contextmanager
def without_reader():
    """An output that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["targets"], ["targets", "--json"], ["devices", "list", "--no-probe"]],
    ids=" ".join,
)
def test_without_a_reader_a_command_ends_quietly(words, place):
    with without_reader() as output:
        done = place.start(*words, stdout=output)
        _, said = done.communicate(timeout=PATIENCE)
    assert (done.returncode, said) == (READER_GONE, "")


@pytest.mark.parametrize(
    "words",
    [["push", DIGITS, "-d", "local:"], ["bench", DIGITS, "-d", "local:,virtual:linux-x64"]],
    ids=lambda words: words[0],
)
def test_a_reader_that_goes_in_the_middle_ends_the_work(words, place):
    """As ``2>&1 | head -2`` does: what several boards' threads say may be what breaks it."""
    done = place.start(*words, stderr=subprocess.STDOUT)
    for _ in range(2):
        assert done.stdout.readline()
    done.stdout.close()
    assert done.wait(timeout=PATIENCE) == READER_GONE
    assert place.left() == []
    wait_until_gone(str(place.here.parent))


def test_a_full_disk_under_the_output_is_one_sentence(place):
    with Path("/dev/full").open("w") as full:
        done = place.start("targets", stdout=full)
        _, said = done.communicate(timeout=PATIENCE)
    assert said == "error: The output cannot be written: No space left on device.\n"
    assert done.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(closed, place):
    done = subprocess.run(
        ["sh", "-c", f"exec {COMMAND} targets {closed}"],
        cwd=place.here,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# Where a command is when the signal comes.
PHASES = {
    "Comparing": ["convert", DIGITS, "-o", "bundle"],
    "Benchmarking": ["bench", DIGITS, "-d", "local:", "--seconds", 60],
    "PPQ: Weights": ["quantize", DIGITS, "--calibration", CALIBRATION, "-o", "bundle"],
}


@contextmanager
def in_phase(place, phase):
    """The command once it says that it is there; below it may be other processes."""
    done = place.start(*PHASES[phase])
    try:
        assert any(phase in line for line in done.stderr), f"{phase} did not come"
        yield done
    finally:
        with suppress(ProcessLookupError):
            done.kill()
        done.communicate()


@pytest.mark.parametrize("phase", ["Comparing", "Benchmarking"])
def test_a_signal_leaves_nothing(phase, place):
    with in_phase(place, phase) as done:
        below = descendants(done.pid)
        done.send_signal(signal.SIGTERM)
        done.send_signal(signal.SIGTERM)  # as `timeout` does, which tells the group as well
        assert done.wait(timeout=PATIENCE) == 128 + signal.SIGTERM
    assert place.left() == []
    wait_until(lambda: not any(map(is_alive, below)), "the end of what the command started")


SLEEPER = (
    "import time; from deployx_edge.cli.ending import ending_well\n"
    "with ending_well():\n"
    "    try: print('here', flush=True); time.sleep(600)\n"
    "    finally: print('left', flush=True)\n"
)


@pytest.fixture
def hang_up():
    """SIGHUP ends programs, also where these tests themselves run under nohup."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, earlier)


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize(
    ("before", "number", "code"),
    [
        ("", signal.SIGHUP, 128 + signal.SIGHUP),
        ("", signal.SIGTERM, 128 + signal.SIGTERM),
        ("trap '' HUP; ", signal.SIGHUP, None),  # as nohup does
    ],
)
def test_a_signal_leaves_each_block(before, number, code):
    words = ["sh", "-c", f'{before}exec "$0" -c "$1"', sys.executable, SLEEPER]
    done = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert done.stdout.readline() == "here\n"
    done.send_signal(number)
    if code is None:
        assert is_alive(done.pid)
        done.send_signal(signal.SIGTERM)
        code = 128 + signal.SIGTERM
    assert done.communicate(timeout=PATIENCE) == ("left\n", None)
    assert done.returncode == code


@pytest.mark.parametrize("phase", PHASES)
def test_what_a_kill_leaves_goes_with_the_next_run(phase, place):
    with in_phase(place, phase) as done:
        below = descendants(done.pid)
        done.kill()
        done.wait(timeout=PATIENCE)
        assert place.left() != []
    wait_until(lambda: not any(map(is_alive, below)), "the end of what the command started")
    place.next_run()
    assert place.left() == []


def test_what_a_living_run_holds_stays(place):
    with in_phase(place, "Comparing") as done:
        done.send_signal(signal.SIGSTOP)
        held = place.left()
        place.next_run()
        assert place.left() == held != []
        done.send_signal(signal.SIGCONT)
        assert done.wait(timeout=PATIENCE) == 0
    assert place.left() == []


def test_a_kill_between_two_names_gives_the_earlier_folder_back(place):
    """The run dies where the earlier folder has made room and the new one is not there yet."""
    code = (
        "import os, signal; from pathlib import Path; from deployx_edge import scratch\n"
        "class Deadly(type(Path())):\n"
        "    def rename(self, target): os.kill(os.getpid(), signal.SIGKILL)\n"
        "with scratch.beside(Path('out')) as made:\n"
        "    made.mkdir(); scratch.put_in_place(Deadly(made), Path('out'))\n"
    )
    earlier = place.here / "out"
    earlier.mkdir()
    (earlier / "kept").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place.here, env=place.environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not earlier.exists()
    place.next_run()
    assert (earlier / "kept").read_text() == "mine"
    assert place.left() == []
