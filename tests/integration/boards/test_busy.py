"""A board that is not ours alone: affinity, a real control group's quota, real load.

Nothing here is timed: what is looked at is what the result says of the board.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from deployx_edge.workflows.measure.other_load import question
from tests.integration.processes import wait_until
from tests.integration.test_cli import COMMAND, DIGITS

BENCH = ("--device", "local:", "--warmup", "2", "--no-link", "--json")
# Long enough that the kernel's ticks tell of the others, and a quota is used up.
LONG = ("--seconds", "1")
SHORT = ("--iterations", "5")
BUSY = "print('busy', flush=True)\nwhile True: pass"
PERIOD = 100_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a bundle, and the environment that keeps everything of ours in it."""
    folder = tmp_path_factory.mktemp("busy")
    environment = {**os.environ, "DEPLOYX_EDGE_CACHE": str(folder / "cache")}
    words = [COMMAND, "convert", DIGITS, "--output", folder / "bundle"]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return folder, environment


@pytest.fixture
def one_processor():
    """This process, and so all that it starts, on one processor; its number."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield max(before)
    os.sched_setaffinity(0, before)


def bench(place, *options, before=()):
    folder, environment = place
    done = subprocess.run(
        [*before, COMMAND, "bench", folder / "bundle", *BENCH, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return result


@pytest.fixture
def limited_group():
    """A real control group of half a processor, under either version; its folder."""
    found = _mounted()
    if found is None:
        pytest.skip("a quota needs a mounted control group with the controller cpu")
    mount, unified = found
    group = mount / f"deployx-edge-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"a quota needs a control group of our own below {mount}: {error.strerror}")
    try:
        # First among others: on a busy machine it would never come to what it is granted.
        (group / ("cpu.weight" if unified else "cpu.shares")).write_text("10000")
        if unified:
            (group / "cpu.max").write_text(f"{PERIOD // 2} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(f"{PERIOD}")
            (group / "cpu.cfs_quota_us").write_text(f"{PERIOD // 2}")
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
        group.rmdir()


def _mounted():
    """Where processor time is given out: the folder, and whether that is version 2."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        mount = Path(place.split()[4])
        kind, _, options = kind.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return mount, False
        if kind == "cgroup2":
            with suppress(OSError):
                if "cpu" in (mount / "cgroup.subtree_control").read_text().split():
                    return mount, True
    return None


def test_the_affinity_of_whoever_starts_it_decides_the_threads(place, one_processor):
    result = bench(place, *SHORT)
    board = result["device"]["board"]
    assert (result["load"]["threads"], board["cores"], board["free_cores"]) == (1, 1, 1)
    assert bench(place, *SHORT, "--cores", "big")["load"]["threads"] == 1
    assert bench(place, *SHORT, "--threads", "2")["load"]["threads"] == 2  # asked for is asked for


def test_all_physical_cores_are_the_default(place):
    result = bench(place, *SHORT)
    board = result["device"]["board"]
    assert result["load"]["threads"] == board["free_cores"] <= board["cores"]
    assert board["cores"] == len(os.sched_getaffinity(0))


def test_a_control_groups_quota_decides_the_threads_and_is_told(place, limited_group):
    enter = ["sh", "-c", f'echo $$ >"{limited_group}/cgroup.procs" && exec "$@"', "sh"]
    # Two threads that keep two processors busy, of which half a one is granted.
    result = bench(place, *LONG, "--threads", "2", before=enter)
    board = result["device"]["board"]
    assert (board["free_cores"], board["processor_quota"]) == (1, 0.5)
    assert result["bench"]["throttled_ns"] > 0
    assert any("A control group's quota held the worker back" in w for w in result["warnings"])
    assert bench(place, *SHORT, before=enter)["load"]["threads"] == 1


def test_a_result_of_a_crowded_processor_says_what_the_runs_waited_for(place, one_processor):
    words = [sys.executable, "-c", BUSY]
    others = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for other in others:
            assert other.stdout.readline() == b"busy\n"
        result = bench(place, *LONG)
    finally:
        for other in others:
            other.kill()
            other.communicate()
    assert result["bench"]["waited_ns"] > 0
    assert result["other_load"] > 0.25
    assert result["stolen_load"] is not None
    assert result["noisy"]
    told = " ".join(result["warnings"])
    assert "The spread comes from waiting for the processor" in told
    assert "cores busy meanwhile" in told


def test_a_board_that_lets_nobody_read_its_load_answers_all_the_same(tmp_path):
    """By as many lines: a bench would wait for those that do not come."""
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1\n")
    for folder, lines in ((tmp_path, ["cpu  1 2 3 4 5 6 7 8 0 0", ""]), ("/nowhere", ["", ""])):
        done = subprocess.run(
            ["sh", "-c", question(12, str(folder))], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == lines
