import pytest

from deployx_edge.agent import failures
from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.errors import (
    DamagedContentError,
    RuntimeRefusedError,
    WorkerCrashError,
    WorkerMemoryError,
    WorkerTimeoutError,
)


def test_every_failure_code_has_an_error():
    assert set(failures.ERRORS) == set(agent_pb2.FailureCode.values())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (agent_pb2.FAILURE_WORKER_CRASHED, WorkerCrashError),
        (agent_pb2.FAILURE_WATCHDOG, WorkerTimeoutError),
        (agent_pb2.FAILURE_MEMORY_LIMIT, WorkerMemoryError),
        (agent_pb2.FAILURE_DAMAGED_FILE, DamagedContentError),
        (agent_pb2.FAILURE_OPTION_REFUSED, RuntimeRefusedError),
    ],
)
def test_each_code_becomes_its_class(code, kind):
    error = failures.from_failure(agent_pb2.Failure(code=code, message="why"))
    assert type(error) is kind
    assert "why" in str(error)


def test_a_crash_names_the_signal_the_phase_and_the_last_words():
    error = failures.from_failure(
        agent_pb2.Failure(
            code=agent_pb2.FAILURE_WORKER_CRASHED,
            message="The worker died.",
            signal=11,
            phase=agent_pb2.PHASE_LOAD,
            log_tail="fopen failed\n",
        )
    )
    assert "SIGSEGV" in str(error)
    assert "while the model was loaded" in str(error)
    assert "fopen failed" in str(error)


def test_a_limit_that_was_passed_is_named_with_its_option():
    for phase, option in (("PREPARE", "--prepare-limit"), ("RUN", "--watchdog")):
        failure = agent_pb2.Failure(
            code=agent_pb2.FAILURE_WATCHDOG, message="why", phase=f"PHASE_{phase}"
        )
        error = failures.from_failure(failure)
        assert option in error.remedy
    failure.phase = agent_pb2.PHASE_PREPARE
    assert str(failures.from_failure(failure)) == (
        "why (while the model was prepared). Give it longer with --prepare-limit SECONDS."
    )


def test_a_signal_of_another_platform_is_shown_as_a_number():
    assert failures.signal_name(250) == "250"
