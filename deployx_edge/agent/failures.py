"""One table that turns what the agent reports, or gRPC itself, into this package's errors."""

from __future__ import annotations

import signal
from typing import Any

import grpc

from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.errors import (
    AgentError,
    AuthenticationError,
    DamagedContentError,
    DeployxError,
    LinkLostError,
    RuntimeRefusedError,
    VersionError,
    WorkerCrashError,
    WorkerMemoryError,
    WorkerTimeoutError,
)

ERRORS: dict[int, type[DeployxError]] = {
    agent_pb2.FAILURE_UNSPECIFIED: AgentError,
    agent_pb2.FAILURE_VERSION: VersionError,
    agent_pb2.FAILURE_INVALID_REQUEST: AgentError,
    agent_pb2.FAILURE_UNKNOWN_MODEL: AgentError,
    agent_pb2.FAILURE_MISSING_FILE: AgentError,
    agent_pb2.FAILURE_RUNTIME_REFUSED: RuntimeRefusedError,
    agent_pb2.FAILURE_OPTION_REFUSED: RuntimeRefusedError,
    agent_pb2.FAILURE_WORKER_CRASHED: WorkerCrashError,
    agent_pb2.FAILURE_WORKER_EXITED: WorkerCrashError,
    agent_pb2.FAILURE_WATCHDOG: WorkerTimeoutError,
    agent_pb2.FAILURE_MEMORY_LIMIT: WorkerMemoryError,
    agent_pb2.FAILURE_CANCELLED: AgentError,
    agent_pb2.FAILURE_INTERNAL: AgentError,
    agent_pb2.FAILURE_DAMAGED_FILE: DamagedContentError,
}

REMEDIES: dict[int, str] = {
    agent_pb2.FAILURE_MISSING_FILE: "Push the bundle again.",
    agent_pb2.FAILURE_DAMAGED_FILE: "Push the bundle again; look at the board's disk.",
    agent_pb2.FAILURE_WATCHDOG: "Give it longer with --watchdog SECONDS.",
    agent_pb2.FAILURE_MEMORY_LIMIT: "Raise --memory-limit, or use a smaller model or precision.",
    agent_pb2.FAILURE_WORKER_CRASHED: (
        "The agent lives on; other models and options can still be run."
    ),
}

_PREPARE_REMEDY = "Give it longer with --prepare-limit SECONDS."

_STATUS: dict[grpc.StatusCode, type[DeployxError]] = {
    grpc.StatusCode.UNAVAILABLE: LinkLostError,
    grpc.StatusCode.DEADLINE_EXCEEDED: LinkLostError,
    grpc.StatusCode.CANCELLED: LinkLostError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.UNIMPLEMENTED: VersionError,
}

_PHASES = {
    agent_pb2.PHASE_SPAWN: "while the worker was started",
    agent_pb2.PHASE_LOAD: "while the model was loaded",
    agent_pb2.PHASE_FIRST_RUN: "in the first run",
    agent_pb2.PHASE_RUN: "in a run",
    agent_pb2.PHASE_PREPARE: "while the model was prepared",
    agent_pb2.PHASE_UNLOAD: "while the model was unloaded",
}


def translate(error: grpc.RpcError) -> DeployxError:
    """The error of this package that says what ``error`` says."""
    failure = _failure_of(error)
    if failure is not None:
        return from_failure(failure)
    code, details = error.code(), error.details() or ""
    kind = _STATUS.get(code, AgentError)
    if kind is LinkLostError:
        return LinkLostError(
            f"The agent does not answer any more ({code.name}: {details}).",
            remedy="Check the board and its link, then run the command again.",
        )
    return kind(f"The agent refused the call ({code.name}: {details}).")


def from_failure(failure: agent_pb2.Failure) -> DeployxError:
    """The error for a Failure message, with its phase, signal and the worker's last words."""
    text = failure.message.rstrip()
    when = _PHASES.get(failure.phase)
    if failure.signal:
        text += f" (signal {signal_name(failure.signal)}{', ' + when if when else ''})"
    elif when and failure.code in (agent_pb2.FAILURE_WATCHDOG, agent_pb2.FAILURE_WORKER_EXITED):
        text += f" ({when})"
    # Workers end no sentence, and what to do stands behind it.
    text = text if text.endswith(".") else f"{text}."
    if failure.log_tail.strip():
        text += f"\nLast lines of the worker's log:\n{failure.log_tail.strip()}\n"
    kind = ERRORS.get(failure.code, AgentError)
    remedy = REMEDIES.get(failure.code, "")
    if failure.code == agent_pb2.FAILURE_WATCHDOG and failure.phase == agent_pb2.PHASE_PREPARE:
        remedy = _PREPARE_REMEDY
    return kind(text, remedy=remedy)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; the number itself for one that this platform does not know."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _failure_of(error: grpc.RpcError) -> agent_pb2.Failure | None:
    metadata: Any = error.trailing_metadata()  # pairs; typeshed knows them only as objects
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            try:
                return agent_pb2.Failure.FromString(value)
            except Exception:  # protobuf's DecodeError has several bases by implementation
                return None
    return None
