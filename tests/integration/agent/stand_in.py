"""Workers whose makers' libraries are stood in for, as scripts/test-cpp builds them, and loads."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.conftest import SANITIZED
from tests.integration.agent.session import Session, failure_of
from tests.integration.processes import children, wait_until

STAND_INS = SANITIZED / "tests" / "worker" / "stand_in"
DIGITS = (Path(__file__).parents[3] / "examples" / "digits" / "digits_cnn.onnx").read_bytes()


def build_worker(runtime: str, *stand_ins: str) -> tuple[Path, str]:
    """The worker's file and its sha256; it and the stand-ins are as fresh as their sources."""
    if not (SANITIZED / "CMakeCache.txt").is_file():
        pytest.skip(f"stand-ins for {runtime} need the folder that scripts/test-cpp builds in")
    worker = f"dx-worker-{runtime}"
    targets = [worker, *(f"dx-stand-in-{name}" for name in stand_ins)]
    subprocess.run(["cmake", "--build", str(SANITIZED), "-j2", "--target", *targets], check=True)
    return with_hash(SANITIZED / "bin" / worker)


def with_hash(path: Path) -> tuple[Path, str]:
    """A file and its sha256."""
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def loaded(session: Session, request: pb.LoadRequest) -> pb.Loaded:
    """What a load ends in."""
    *_, last = session.call("Load", request)
    return last.loaded


def refused(session: Session, request: pb.LoadRequest) -> pb.Failure:
    """Why a load failed, once its worker is gone."""
    with pytest.raises(grpc.RpcError) as caught:
        list(session.call("Load", request))
    wait_until(lambda: not children(session.pid), "the end of the worker")
    return failure_of(caught.value)


def zeros(info: pb.TensorInfo) -> pb.Tensor:
    """A digit of nothing."""
    return pb.Tensor(name=info.name, dtype=info.dtype, dims=info.dims, data=bytes(4 * 8 * 8))
