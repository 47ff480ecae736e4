"""A board is used by one run at a time, whoever comes from wherever, and comes back by itself."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    DeployxError,
    DeviceBusyError,
    LinkLostError,
    QuarantinedError,
)
from deployx_edge.measurement.values import BenchPlan, RunOptions
from deployx_edge.progress import Stage
from deployx_edge.transport import open_transport
from deployx_edge.transport.board import target_of_board
from deployx_edge.workflows.boards.board_doctor import examine_board
from deployx_edge.workflows.boards.clean import clean_device
from deployx_edge.workflows.boards.crash_log import incidents_of
from deployx_edge.workflows.boards.lease import lease_of, owner, release
from deployx_edge.workflows.boards.session import open_session, push_to_device
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.bench import BenchJob, bench_device
from tests.integration.board import MissingPartError, SmallDisk, options_toml, running_sshd
from tests.integration.boards.strikes import during_runs
from tests.integration.models.onnx_models import model, weights
from tests.integration.processes import stop, wait_until, with_words
from tests.integration.test_cli import DIGITS

FOREVER = BenchPlan(warmup=0, iterations=0, seconds=3600)
QUICK = BenchPlan(warmup=1, iterations=20)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with running_sshd(tmp_path_factory.mktemp("shared-sshd")) as board:
        yield board


@pytest.fixture(params=["local:", "virtual:linux-arm64", "ssh"])
def board(request, tmp_path):
    folder = str(tmp_path / "work folder é")
    if request.param != "ssh":
        return Device(name="the board", uri=request.param, work_folder=folder)
    sshd = request.getfixturevalue("sshd")
    return Device(name="the board", uri=sshd.uri, work_folder=folder, options=sshd.options())


def entries(board):
    """Who has the board and who waits."""
    with open_transport(
        board.uri, work_folder=board.work_folder, options=board.options
    ) as transport:
        return lease_of(transport, target_of_board(transport))


def kill_agent(board):
    os.kill(entries(board)[0].pid, signal.SIGKILL)


class Told:
    """Passed as ``progress``: what was told, and whether somebody is waited for."""

    def __init__(self):
        self.stages = []
        self.waiting = threading.Event()

    def __call__(self, event):
        if isinstance(event, Stage):
            self.stages.append(event.text)
            if event.text.startswith("Waiting for "):
                self.waiting.set()


def test_the_second_waits_for_the_first_and_is_told_whose_it_is(board):
    told, seen = Told(), []

    def second():
        with open_session(board, purpose="second", progress=told):
            seen.append("second")

    with open_session(board, purpose="bench resnet"):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.waiting.wait(60)
        assert seen == []
        texts = [entry.text for entry in entries(board)]
        assert texts == [f"{owner()}: bench resnet", f"{owner()}: second"]
    thread.join(60)
    assert seen == ["second"]
    (waiting,) = [text for text in told.stages if text.startswith("Waiting for ")]
    assert waiting.startswith(f"Waiting for the board, used by {owner()}: bench resnet (since ")
    assert entries(board) == ()


def test_who_does_not_wait_is_refused_by_the_holder_s_name(board, digits):
    with open_session(board, purpose="bench resnet"):
        with pytest.raises(DeviceBusyError, match=f"{owner()}: bench resnet") as caught:
            push_to_device(board, digits, wait=False)
        assert caught.value.exit_code == 36
        assert "devices release" in caught.value.remedy
        assert len(entries(board)) == 1
    push_to_device(board, digits, wait=False)


def test_those_who_wait_are_served_in_their_order(board):
    served, threads = [], []

    def one(name):
        with open_session(board, purpose=name):
            served.append(name)

    with open_session(board, purpose="holder"):
        for index, name in enumerate(["a", "b", "c"]):
            threads.append(threading.Thread(target=one, args=(name,)))
            threads[-1].start()
            wait_until(lambda wanted=index + 2: len(entries(board)) == wanted, "the next in line")
    for thread in threads:
        thread.join(60)
    assert served == ["a", "b", "c"]


@pytest.fixture
def endless_bench(board, tmp_path):
    """Another process, of another user by name, that benches without an end."""
    config = tmp_path / "project" / "deployx.toml"
    config.parent.mkdir()
    lines = [
        '[devices."the board"]',
        f'uri = "{board.uri}"',
        f'work_folder = "{board.work_folder}"',
    ]
    if board.options.ssh_config:
        lines.append(options_toml(board.options))
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "deployx_edge", "bench", str(DIGITS), "-d", "the board"]
    process = subprocess.Popen(
        [*command, "--seconds", "3600"],
        cwd=config.parent,
        env={**os.environ, "USER": "bob", "LOGNAME": "bob"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: entries(board), "the other's run")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_board_is_free_again_when_its_user_is_killed(board, endless_bench):
    assert entries(board)[0].text.startswith("bob@")
    endless_bench.kill()
    endless_bench.wait()
    wait_until(lambda: entries(board) == (), "the end of the dead user's lease")
    with open_session(board, wait=False):
        pass


def test_release_is_careful_with_others_and_ends_their_agent_by_force(board, endless_bench):
    with pytest.raises(DeviceBusyError, match=r"bob@.*not a run of yours"):
        release(board, force=False)
    assert endless_bench.poll() is None
    ended = release(board, force=True)
    assert ended.text.startswith("bob@")
    assert "bench digits_cnn" in ended.text
    assert entries(board) == ()
    _, errors = endless_bench.communicate(timeout=60)
    # Its last call is refused by the agent, or finds none any more.
    codes = (AgentError.exit_code, LinkLostError.exit_code)
    assert endless_bench.returncode in codes, errors
    wait_until(lambda: not with_words("serve", board.work_folder), "the end of the agent")
    assert release(board, force=True) is None


@pytest.mark.parametrize("board", ["ssh"], indirect=True)
def test_an_agent_that_hangs_is_ended_too(board, endless_bench):
    pid = entries(board)[0].pid
    stop(pid)
    assert release(board, force=True).pid == pid
    assert entries(board) == ()


def test_a_frozen_link_gives_the_board_back(sshd, tmp_path, digits):
    options = sshd.options(silence_seconds=5)
    board = Device(name="far", uri=sshd.uri, work_folder=str(tmp_path / "w"), options=options)
    job = BenchJob(bundle=digits, plan=FOREVER)
    try:
        with during_runs(lambda: sshd.signal_links(signal.SIGSTOP)) as flow:
            (failure,) = bench_device(board, job, progress=flow)[1]
        assert isinstance(failure.error, LinkLostError)
        # The frozen processes stay frozen; whoever comes next waits for the agent's patience.
        with open_session(replace(board, options=sshd.options()), purpose="next"):
            pass
    finally:
        sshd.signal_links(signal.SIGCONT)


def test_clean_leaves_nothing_and_never_takes_a_board_in_use(board, digits):
    with open_session(board) as session:
        session.push(digits)
        with pytest.raises(DeviceBusyError):
            clean_device(board)
    clean_device(board)
    assert not Path(board.work_folder).exists()


def test_an_agent_of_another_build_is_asked_too(board):
    with open_session(board, purpose="bench resnet"):
        (agent,) = (Path(board.work_folder) / "bin").iterdir()
        agent.rename(agent.with_name("dx-agent-of-another-build"))
        assert [entry.text for entry in entries(board)] == [f"{owner()}: bench resnet"]


@pytest.mark.parametrize("board", ["ssh"], indirect=True)
def test_who_was_never_on_a_board_takes_it_from_nobody(board, tmp_path):
    newcomer = replace(board, work_folder=str(tmp_path / "of a newcomer"))
    with open_session(board, purpose="bench resnet") as session:
        assert entries(newcomer) == ()
        with pytest.raises(DeviceBusyError, match="bench resnet"):
            clean_device(newcomer)
        assert "bench resnet" in release(newcomer, force=True).text
        with pytest.raises(DeployxError):
            session.client.describe()
    clean_device(newcomer)
    assert not Path(newcomer.work_folder).exists()


def test_a_model_that_loses_the_link_twice_in_a_phase_is_quarantined(board, digits):
    def killed_bench(**terms):
        job = BenchJob(bundle=digits, plan=FOREVER, **terms)
        with during_runs(lambda: kill_agent(board)) as flow:
            (failure,) = bench_device(board, job, progress=flow)[1]
        return failure.error

    def quick(**terms):
        job = BenchJob(bundle=digits, plan=QUICK, **terms)
        results, failures = bench_device(board, job)
        return [len(r.bench.samples_ns) for r in results], [f.error for f in failures]

    other = (RunOptions(threads=1),)
    assert isinstance(killed_bench(), LinkLostError)
    assert isinstance(killed_bench(), LinkLostError)
    _, (error,) = quick()
    assert isinstance(error, QuarantinedError)
    assert "lost 2 times in the same phase (its run on" in error.message
    assert "--force" in error.remedy
    # Another way to run it is not quarantined, and goes on beside the one that is.
    results, (error,) = quick(options=(RunOptions(), *other))
    assert results == [20]
    assert isinstance(error, QuarantinedError)
    assert quick(force=True) == ([20], [])
    assert quick() == ([20], [])


def test_a_sweep_goes_on_behind_a_run_that_lost_the_board(board, digits):
    options = (RunOptions(threads=1), RunOptions(threads=2))
    job = BenchJob(bundle=digits, options=options, plan=BenchPlan(iterations=0, seconds=3.0))
    with during_runs(lambda: kill_agent(board)) as flow:
        results, (failure,) = bench_device(board, job, progress=flow)
    assert failure.options.threads == 1
    assert isinstance(failure.error, DeployxError)
    assert [result.load.threads for result in results] == [2]


def test_what_is_remembered_of_a_board_goes_with_clean(digits, tmp_path):
    board = Device(name="b", uri="local:", work_folder=str(tmp_path / "w"))
    with during_runs(lambda: kill_agent(board)) as flow:
        bench_device(board, BenchJob(bundle=digits, plan=FOREVER), progress=flow)
    with open_transport(board.uri, work_folder=board.work_folder) as transport:
        (incident,) = incidents_of(transport)
        assert incident.boot_id == transport.boot_id()
        assert incident.phase == "run"
        clean_device(board)
        assert incidents_of(transport) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 20 MB, as some boards have left."""
    try:
        with SmallDisk(tmp_path / "disk", megabytes=20) as place:
            yield place
    except MissingPartError as missing:
        pytest.skip(f"a disk of its own size needs {missing}")


def heavy_bundle(folder, seed):
    """Six megabytes of weights."""
    path = folder / f"heavy{seed}.onnx"
    node = helper.make_node("Gemm", ["x", "w"], ["y"])
    onnx.save(
        model([node], {"x": [1, 1000]}, {"y": [1, 1500]}, [weights("w", 1000, 1500, seed=seed)]),
        path,
    )
    return make_bundle(path)


def test_a_board_of_little_room_keeps_what_was_used_last(small_disk, tmp_path):
    board = Device(name="b", uri="virtual:linux-arm64", work_folder=str(small_disk / "w"))
    first, second = heavy_bundle(tmp_path, 1), heavy_bundle(tmp_path, 2)
    assert push_to_device(board, first).sent_bytes > 6_000_000
    assert push_to_device(board, first).sent_bytes == 0
    # There is no room for both beside agent and worker; the second is there all the same.
    assert push_to_device(board, second).sent_bytes > 6_000_000
    assert push_to_device(board, second).sent_bytes == 0
    results, _ = bench_device(board, BenchJob(bundle=second, plan=BenchPlan(iterations=2)))
    assert len(results) == 1
    assert sorted(path.name for path in (small_disk / "w" / "bundles").iterdir()) == [second.name]


def test_no_more_is_kept_than_the_device_may(tmp_path):
    board = Device(
        name="b", uri="virtual:linux-arm64", work_folder=str(tmp_path / "w"), keep_mib=18
    )
    bundles = [heavy_bundle(tmp_path, seed) for seed in (1, 2, 3)]
    for bundle in bundles:
        push_to_device(board, bundle)
        held = sum(f.stat().st_size for f in (tmp_path / "w").rglob("*") if f.is_file())
        assert held <= 18 << 20
    assert push_to_device(board, bundles[-1]).sent_bytes == 0
    assert push_to_device(board, bundles[0]).sent_bytes > 6_000_000


def test_a_board_whose_clock_is_in_1970_is_leased_and_measured(digits, tmp_path):
    """Its own date; what the kernel counts since the start goes on all the same."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "date").write_text("#!/bin/sh\necho 60\n")
    (programs / "date").chmod(0o755)
    path = f"PATH={programs}:/usr/bin:/bin"
    with running_sshd(tmp_path / "sshd", f"SetEnv {path} HOME={tmp_path}") as sshd:
        board = Device(name="old", uri=sshd.uri, options=sshd.options())
        checks = {check.name: check for check in examine_board(board)}
        assert (checks["clock"].present, checks["clock"].needed) == (False, False)
        assert checks["clock"].found.startswith("1970-01-01T00:01:00")
        results, failures = bench_device(board, BenchJob(bundle=digits, plan=QUICK))
    assert (len(results), failures) == (1, [])
