"""The main job against a real sshd: on this architecture, and on a foreign one."""

import pytest

from deployx_edge.device import Device
from deployx_edge.errors import ArchitectureError
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.resources import dist_folder
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import bench
from tests.integration.board import MissingPartError, running_sshd
from tests.integration.foreign import foreign_root, mounted_proc


@pytest.fixture(scope="module", params=["aarch64", "riscv64"])
def foreign(request, tmp_path_factory):
    """What ``uname -m`` says on the board, the target that fits, and its sshd."""
    machine = request.param
    target = {"aarch64": "linux-arm64", "riscv64": "linux-riscv64"}[machine]
    if not (dist_folder(target) / "dx-agent").exists():
        pytest.skip(f"{target} is not built: deployx-edge build --target {target}")
    try:
        with foreign_root(machine) as root, mounted_proc(root):
            folder = tmp_path_factory.mktemp(f"sshd-{machine}")
            with running_sshd(folder, f"ChrootDirectory {root}") as sshd:
                yield machine, target, sshd
    except MissingPartError as missing:
        pytest.skip(f"a foreign board needs {missing}")


def test_a_board_of_another_architecture_is_measured(foreign, digits):
    machine, target, sshd = foreign
    board = Device(name="board", uri=sshd.uri, work_folder="/work/ä b", options=sshd.options())
    with open_session(board) as session:
        assert session.target.id == target
        (result,) = bench(session, digits, plan=BenchPlan(warmup=1, iterations=10))
    assert len(result.bench.samples_ns) == 10
    assert result.push.sent_bytes == result.push.total_bytes
    assert result.device.board.machine == machine
    # The binaries notice that the processor they were built for is not the one that runs.
    assert result.device.board.emulated
    assert result.bench.peak_memory_bytes is None
    with open_session(board) as session:
        (again,) = bench(session, digits, plan=BenchPlan(warmup=1, iterations=10))
    assert again.push.sent_bytes == 0


def test_an_architecture_that_does_not_match_is_refused_before_anything_is_pushed(foreign):
    machine, _, sshd = foreign
    board = Device(
        name="board",
        uri=sshd.uri,
        target="linux-x64",
        work_folder="/untouched",
        options=sshd.options(),
    )
    with pytest.raises(ArchitectureError, match=rf"{machine}.*linux-x64"), open_session(board):
        pass
    plain = Device(name="board", uri=sshd.uri, work_folder="/other", options=sshd.options())
    with open_session(plain) as session:
        assert session.transport.run(["ls", "/untouched"]).returncode != 0
