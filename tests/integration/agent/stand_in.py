"""Workers whose makers' libraries are stood in for, as scripts/test-cpp builds them, and loads."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.conftest import SANITIZED
from tests.integration.agent.session import Session, failure_of
from tests.integration.processes import children, wait_until

# Below the folder that they are built in.
_LIBRARIES = Path("tests/worker/stand_in")
STAND_INS = SANITIZED / _LIBRARIES
DIGITS = (Path(__file__).parents[3] / "examples" / "digits" / "digits_cnn.onnx").read_bytes()


def rknn_file(toolkit: str = "2.5.0", chip: str = "rk3588", model: bytes = DIGITS) -> bytes:
    """The head and the description of an .rknn, with what the stand-in computes between them."""
    facts = json.dumps({"target_platform": [chip], "version": toolkit}).encode()
    head = b"RKNN" + struct.pack("<4xQQ40x", 6, len(model))
    return head + model + struct.pack("<Q", len(facts)) + facts


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A runtime whose maker's library is stood in for: what a load of it takes, and by which words
    (see the library's source) its board is out of memory or has another version.

    ``role`` is the model's, ``content`` the digits as such a file, ``damaged`` one that is not
    whole. ``brings`` is a library that travels with the worker, below ``folder``, where both are
    built. ``unusual`` says which of the tests for all it has not, and why.
    """

    name: str
    libraries: tuple[str, ...]
    role: str
    content: bytes
    damaged: bytes
    version: str
    versions: tuple[str, str]
    full: str = ""
    prepares: bool = False
    brings: str = ""
    folder: Path = SANITIZED
    options: dict[str, str] = field(default_factory=dict)
    unusual: dict[str, str] = field(default_factory=dict)

    @property
    def stand_ins(self) -> Path:
        """Where the worker finds the libraries."""
        return self.folder / _LIBRARIES

    def request(self, session: Session, content: bytes = b"", **fields: object) -> pb.LoadRequest:
        """A load of the digits, or of another file."""
        worker, sha256 = build_worker(self.name, *self.libraries, folder=self.folder)
        files = [
            pb.ModelFile(role="worker", sha256=_lay(session, worker, sha256)),
            pb.ModelFile(role=self.role, sha256=session.put(content or self.content)),
        ]
        if self.brings:
            path, sha256 = with_hash(self.folder / self.brings)
            brought = _lay(session, path, sha256)
            files.append(pb.ModelFile(role="library", name=path.name, sha256=brought))
        usual = {"options": pb.RunOptions(named=self.options)}
        return pb.LoadRequest(runtime=self.name, files=files, **{**usual, **fields})


RKNN = StandIn(
    name="rknn",
    libraries=("rknnrt",),
    role="rknn",
    content=rknn_file(),
    damaged=rknn_file()[:-3],
    version="version=2.0.0",
    versions=("toolkit 2.5.0", "library 2.0.0"),
    full="memory=9",
)
SNPE = StandIn(
    name="snpe",
    libraries=("snpe",),
    role="dlc",
    content=DIGITS,
    damaged=DIGITS[:-3],
    version="version=2.10.0",
    versions=("SNPE 2.39.0", "is 2.10.0"),
    brings="tests/worker/stand_in_snpe/libSNPE.so",
    options={"runtime_order": "dsp"},
    unusual={
        "memory": "its interface has no error of its own for that: whatever a board cannot have "
        "is a text of the SDK's, which is told as it is",
        "told memory": "its interface does not say what a network takes of the DSP",
    },
)
TENSORRT = StandIn(
    name="tensorrt",
    libraries=("cudart", "nvinfer", "nvonnxparser"),
    role="onnx",
    content=DIGITS,
    damaged=DIGITS[:-3],
    version="version=100001",
    versions=("or newer", "the board has 10.0.1"),
    full="out-of-memory",
    prepares=True,
)
ALL = (RKNN, SNPE, TENSORRT)


def _lay(session: Session, path: Path, sha256: str) -> str:
    """A file into the session's store."""
    place = session.work / "store" / sha256
    if not place.exists():
        place.symlink_to(path)
    return sha256


def build_worker(runtime: str, *stand_ins: str, folder: Path = SANITIZED) -> tuple[Path, str]:
    """The worker's file and its sha256; it and the stand-ins are as fresh as their sources."""
    if not (folder / "CMakeCache.txt").is_file():
        pytest.skip(f"stand-ins for {runtime} need the folder that scripts/test-cpp builds in")
    worker = f"dx-worker-{runtime}"
    targets = (worker, *(f"dx-stand-in-{name}" for name in stand_ins))
    if (folder, targets) not in _BUILT:
        command = ["cmake", "--build", str(folder), "-j2", "--target", *targets]
        subprocess.run(command, check=True)
        _BUILT[folder, targets] = with_hash(folder / "bin" / worker)
    return _BUILT[folder, targets]


# What one run of the tests has built.
_BUILT: dict[tuple[Path, tuple[str, ...]], tuple[Path, str]] = {}


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
