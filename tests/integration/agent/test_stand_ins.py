"""What holds for every worker whose maker's library stands in, as for the others, under an agent.

Nothing here was seen on an accelerator. Each case ends with the same agent, which loads the digits
and computes them; a case that a runtime has not is skipped for the reason in its row.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import Session, failure_of
from tests.integration.agent.stand_in import ALL, DIGITS, STAND_INS, StandIn, loaded, refused, zeros
from tests.integration.processes import children, wait_until
from tests.sampling import sampled

# Of a load that is to end by it, and of one that is to succeed on a busy computer.
SOON_MS, LATER_MS = 1500, 6000


@dataclass(frozen=True)
class Board:
    """A running agent, whose workers' libraries behave as a file says.

    ``later_ms`` is the limit of a load that is to succeed, and of a run that is to hang."""

    session: Session
    words: Path
    later_ms: int = LATER_MS

    def behave(self, words: str = "") -> None:
        self.words.write_text(words)

    def hangs(self) -> bool:
        """Whether a library has come to where it hangs, as it was told to."""
        return self.words.with_name(f"{self.words.name}.hangs").exists()

    def answer(self, model: pb.Loaded) -> bytes:
        """What comes of a digit of nothing."""
        (reply,) = self.session.infer(model.model_id, 1, inputs=[zeros(model.inputs[0])])
        return reply.outputs[0].data

    def workers(self) -> int:
        return len(children(self.session.pid))


@pytest.fixture
def board(start: Callable[..., Session], tmp_path: Path) -> Board:
    words = tmp_path / "words"
    words.touch()
    session = start(environment={"LD_LIBRARY_PATH": str(STAND_INS), "DX_STAND_IN": f"@{words}"})
    session.shake()
    return Board(session, words)


def limits(row: StandIn, milliseconds: int) -> dict[str, int]:
    """Of the part of a load in which the library first does something."""
    return {"prepare_ms" if row.prepares else "watchdog_ms": milliseconds}


def two_models_live_beside_each_other(board: Board, row: StandIn) -> None:
    first, second = (loaded(board.session, row.request(board.session)) for _ in range(2))
    assert board.answer(first) == board.answer(second)
    assert board.workers() == 2
    board.session.call("Unload", pb.UnloadRequest(model_id=first.model_id))
    wait_until(lambda: board.workers() == 1, "the end of the first worker")
    assert board.answer(second)


def memory_of_two_models_is_told(board: Board, row: StandIn) -> None:
    first, second = (loaded(board.session, row.request(board.session)) for _ in range(2))
    assert first.accelerator_bytes == second.accelerator_bytes > len(row.content)


def a_crash_in_a_load_is_told(board: Board, row: StandIn) -> None:
    board.behave("crash")
    failure = refused(board.session, row.request(board.session))
    assert (failure.code, failure.signal) == (pb.FAILURE_WORKER_CRASHED, signal.SIGSEGV)
    assert failure.phase == (pb.PHASE_PREPARE if row.prepares else pb.PHASE_LOAD)


def a_crash_in_a_run_takes_one_model_alone(board: Board, row: StandIn) -> None:
    first, second = (loaded(board.session, row.request(board.session)) for _ in range(2))
    board.behave("crash-run")
    failure = failure_in_run(board, first)
    assert (failure.code, failure.signal) == (pb.FAILURE_WORKER_CRASHED, signal.SIGSEGV)
    board.behave()
    assert board.answer(second)


def a_hang_in_a_load_is_ended_by_its_limit(board: Board, row: StandIn) -> None:
    board.behave("hang")
    request = row.request(board.session, **limits(row, SOON_MS))
    assert refused(board.session, request).code == pb.FAILURE_WATCHDOG


def a_hang_in_a_run_is_ended_by_the_watchdog(board: Board, row: StandIn) -> None:
    model = loaded(board.session, row.request(board.session, watchdog_ms=board.later_ms))
    board.behave("hang-run")
    assert failure_in_run(board, model).code == pb.FAILURE_WATCHDOG


def a_load_is_cancelled(board: Board, row: StandIn) -> None:
    board.behave("hang")
    call = board.session.call("Load", row.request(board.session))
    next(call)
    wait_until(lambda: board.workers() == 1, "the worker")
    call.cancel()
    wait_until(lambda: not board.workers(), "the end of the worker")


def a_bench_that_hangs_is_cancelled(board: Board, row: StandIn) -> None:
    model = loaded(board.session, row.request(board.session, watchdog_ms=board.later_ms))
    board.behave("hang-run")
    asked = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(model.inputs[0])], iterations=3)
    call = board.session.call("Bench", asked)
    assert next(call).HasField("phase")
    # A worker that is told before it has begun to run obeys, and lives.
    wait_until(board.hangs, "a run that hangs")
    call.cancel()
    wait_until(lambda: not board.workers(), "the end of the worker")


def another_version_is_refused_with_both_named(board: Board, row: StandIn) -> None:
    board.behave(row.version)
    failure = refused(board.session, row.request(board.session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert all(word in failure.message for word in row.versions), failure.message


def memory_that_is_not_there_is_told(board: Board, row: StandIn) -> None:
    board.behave(row.full)
    failure = refused(board.session, row.request(board.session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "memory" in failure.message


def a_damaged_file_is_refused(board: Board, row: StandIn) -> None:
    failure = refused(board.session, row.request(board.session, row.damaged))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert failure.message


def wrong_tensors_are_refused_and_the_model_goes_on(board: Board, row: StandIn) -> None:
    model = loaded(board.session, row.request(board.session))
    right = zeros(model.inputs[0])
    for change, said in WRONG_TENSORS:
        tensor = pb.Tensor()
        tensor.CopyFrom(right)
        change(tensor)
        failure = failure_in_run(board, model, tensor)
        assert failure.code in (pb.FAILURE_RUNTIME_REFUSED, pb.FAILURE_INVALID_REQUEST)
        assert all(word in failure.message for word in said), failure.message
    assert board.answer(model)
    assert board.workers() == 1


def _cut(tensor: pb.Tensor) -> None:
    tensor.data = tensor.data[:-1]


def _turn(tensor: pb.Tensor) -> None:
    tensor.dims[:] = [1, 8, 8, 1]


def _double(tensor: pb.Tensor) -> None:
    tensor.dtype, tensor.data = "float64", tensor.data * 2


def _rename(tensor: pb.Tensor) -> None:
    tensor.name = "picture"


WRONG_TENSORS = [
    (_cut, ("256", "255")),
    (_turn, ("1x1x8x8", "1x8x8x1")),
    (_double, ("float32", "float64")),
    (_rename, ("'image' is missing",)),
]

CASES = {
    "two models": two_models_live_beside_each_other,
    "told memory": memory_of_two_models_is_told,
    "crash in load": a_crash_in_a_load_is_told,
    "crash in run": a_crash_in_a_run_takes_one_model_alone,
    "hang in load": a_hang_in_a_load_is_ended_by_its_limit,
    "hang in run": a_hang_in_a_run_is_ended_by_the_watchdog,
    "cancelled load": a_load_is_cancelled,
    "cancelled bench": a_bench_that_hangs_is_cancelled,
    "version": another_version_is_refused_with_both_named,
    "memory": memory_that_is_not_there_is_told,
    "damaged": a_damaged_file_is_refused,
    "tensors": wrong_tensors_are_refused_and_the_model_goes_on,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A third of all in each run: another with another ``--sample-seed``."""
    pairs = [
        pytest.param(
            *(row, name),
            id=f"{row.name}: {name}",
            marks=[pytest.mark.skip(reason=row.unusual[name])] if name in row.unusual else [],
        )
        for name in CASES
        for row in ALL
    ]
    count = len(pairs) // len(ALL)
    metafunc.parametrize(("row", "name"), sampled(pairs, metafunc.config, count))


def test_a_board_goes_on(board: Board, row: StandIn, name: str) -> None:
    goes_on(board, row, name)


def goes_on(board: Board, row: StandIn, name: str) -> None:
    """The case of that name, and then the digits by the same agent."""
    CASES[name](board, row)
    board.behave()
    model = loaded(board.session, row.request(board.session))
    found = np.frombuffer(board.answer(model), np.float32)
    nothing = {"image": np.zeros((1, 1, 8, 8), np.float32)}
    (wanted,) = onnxruntime.InferenceSession(DIGITS).run(None, nothing)
    np.testing.assert_allclose(found, wanted[0], rtol=1e-4, atol=1e-4)


def failure_in_run(board: Board, model: pb.Loaded, tensor: pb.Tensor | None = None) -> pb.Failure:
    """Why a run fails."""
    with pytest.raises(grpc.RpcError) as caught:
        board.session.infer(model.model_id, 1, inputs=[tensor or zeros(model.inputs[0])])
    return failure_of(caught.value)
