"""Run a model in ONNX Runtime's QNN provider, in a process of its own, where it may die alone.

``python -m deployx_edge.runtimes.qnn.provider_process`` is started by ``provider.py`` beside it,
which talks to it over standard input and output (see ``runner_process``):

    to it:    {"model", "library", "backend", "options", "entries", "allow_fallback"}  first, once
              {"tensors": […], "inputs": [{"name", "dtype", "shape"}…]} + arrays   for each run
    from it:  {"phase": …}                                         before it begins something
              {"ready": true, "left": [{"node", "operator", "reason"}…]}  once the model is loaded
              {"refused": [{"node", "operator", "reason"}…], "said": …}   in its place, or a run's
              {"arrays": [{"name", "dtype", "shape"}…]} + arrays   of a run
              or {"error": …}, after which it ends
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import IO, Any

import numpy as np
import onnxruntime

_PROVIDER = "QNNExecutionProvider"
_VERBOSE, _ERROR = 0, 3
# What it adds to that, which who reads of the node knows.
_REPEATED = re.compile(r"\.?[A-Za-z0-9_]+ node `.*?` will not be assigned to QNN EP\.?$")
# Settings of a session: QNN takes every node or none; who takes which is written down.
_STRICT = "session.disable_cpu_ep_fallback"
_RECORD = "session.record_ep_graph_assignment_info"
# What the provider says of a node that it leaves to others, in its most talkative log.
_REASON = re.compile(r"Node name: (?P<node>.*?) Node index: \d+\s+REASON : (?P<reason>.*)")


class _Child:
    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._job: dict[str, Any] = {}
        self._sessions: dict[tuple[str, ...], Any] = {}

    def serve(self) -> None:
        """Load the model and run it until nobody asks any more."""
        self._job = json.loads(self._requests.readline())
        self._say({"phase": "load"})
        onnxruntime.set_default_logger_severity(_ERROR)
        onnxruntime.register_execution_provider_library(_PROVIDER, self._job["library"])
        # Before anything is written of what is made, which it may be once only.
        left = self._left(()) if self._job["allow_fallback"] else []
        if self._opened((), strict=not left) is not None:
            self._say({"ready": True, "left": left})
        for count, line in enumerate(iter(self._requests.readline, b""), start=1):
            self._say({"phase": f"run {count}"})
            self._run(json.loads(line))

    def _say(self, message: dict[str, Any], *arrays: Any) -> None:
        self._answers.write(json.dumps(message).encode() + b"\n")
        for array in arrays:
            self._answers.write(array.data)
        self._answers.flush()

    def _run(self, request: dict[str, Any]) -> None:
        inputs = {entry["name"]: self._read(entry) for entry in request["inputs"]}
        # Who asks for what is inside may stop QNN from taking nodes that it takes otherwise.
        strict = not self._job["allow_fallback"]
        session = self._opened(tuple(request["tensors"]), strict=strict)
        if session is None:
            return
        try:
            found = session.run(request["tensors"], inputs)
        except Exception as error:  # its exceptions share no other base
            self._say({"refused": [], "said": str(error)})
            return
        arrays = [np.ascontiguousarray(array) for array in found]
        told = [
            {"name": name, "dtype": array.dtype.name, "shape": array.shape}
            for name, array in zip(request["tensors"], arrays, strict=True)
        ]
        self._say({"arrays": told}, *arrays)

    def _read(self, entry: dict[str, Any]) -> Any:
        array = np.empty(entry["shape"], dtype=entry["dtype"])
        view = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
        while view:
            count = self._requests.readinto(view)  # type: ignore[attr-defined]
            if not count:
                sys.exit(1)  # whoever asked has gone
            view = view[count:]
        return array

    def _opened(self, tensors: tuple[str, ...], *, strict: bool) -> Any:
        """A session with those tensors among its outputs; None, and the answer sent, where QNN
        does not run it, or ``strict`` and it leaves anything to the processor."""
        if tensors not in self._sessions:
            try:
                self._sessions[tensors] = self._session(tensors, strict=strict, entries=True)
            except Exception as error:
                self._say({"refused": self._left(tensors), "said": str(error)})
                return None
        return self._sessions[tensors]

    def _session(self, tensors: tuple[str, ...], *, strict: bool, entries: bool) -> Any:
        """Without ``entries`` to see who takes which node, and why: nothing is written of it."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERROR if entries else _VERBOSE
        if strict:
            options.add_session_config_entry(_STRICT, "1")
        if not entries:
            options.add_session_config_entry(_RECORD, "1")
        for name, value in self._job["entries"].items() if entries else ():
            options.add_session_config_entry(name, value)
        devices = [each for each in onnxruntime.get_ep_devices() if each.ep_name == _PROVIDER]
        backend = {"backend_path": self._job["backend"], **self._job["options"]}
        options.add_provider_for_devices(devices[:1], backend)
        return onnxruntime.InferenceSession(self._model(tensors), options, enable_fallback=0)

    def _model(self, tensors: tuple[str, ...]) -> str | bytes:
        path: str = self._job["model"]
        if not tensors:
            return path
        import onnx

        model = onnx.load(path)
        own = {value.name for value in model.graph.output}
        inside = [name for name in tensors if name not in own]
        if not inside:
            return path
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inside)
        serialized: bytes = model.SerializeToString()
        return serialized

    def _left(self, tensors: tuple[str, ...]) -> list[dict[str, str]]:
        """The nodes that QNN leaves to the processor, with its reasons as far as it tells them."""
        try:
            session = self._session(tensors, strict=False, entries=False)
        except Exception:  # then what was said first has to do
            return []
        reasons = {found["node"]: found["reason"].strip() for found in _REASON.finditer(_log())}
        return [
            {
                "node": node.name,
                "operator": node.op_type,
                "reason": _REPEATED.sub("", reasons.get(node.name, "")).rstrip("."),
            }
            for part in session.get_provider_graph_assignment_info()
            if part.ep_name != _PROVIDER
            for node in part.get_nodes()
        ]


def _log() -> str:
    """What was written to standard error, which is a file of the starter's."""
    return os.pread(2, os.fstat(2).st_size, 0).decode(errors="replace")


def main() -> None:
    """Serve on standard input and output; what Qualcomm's libraries print goes to the log."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _Child(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    main()
    # What the libraries tear down at their end is of no use to anyone, and may fail.
    os._exit(0)
