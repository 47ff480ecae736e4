"""Run a bundle's file in ONNX Runtime with kernels that may be wrong, in a process of its own.

``python -m deployx_edge.runtimes.kernel_child`` is started by ``kernel_process`` beside it, which
talks to it over standard input and output (see ``runner_process``):

    to it:    {"model"}                                                  first, once
              {"tensors": […], "inputs": [{"name", "dtype", "shape"}…]} + arrays   for each run
    from it:  {"phase": …}                                         before it begins something
              {"arrays": [{"name", "dtype", "shape"}…]} + arrays   of a run
              {"refused": …} or {"missing": …, "remedy": …}        in their place
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from deployx_edge.errors import MissingToolError
from deployx_edge.graph.device_kernels import open_with_kernels
from deployx_edge.graph.onnx_runtime import plain_reason


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Run the model until nobody asks any more."""
    path = Path(json.loads(requests.readline())["model"])
    sessions: dict[tuple[str, ...], Any] = {}
    for count, line in enumerate(iter(requests.readline, b""), start=1):
        _say(answers, {"phase": f"run {count}"})
        request = json.loads(line)
        inputs = {entry["name"]: _read(requests, entry) for entry in request["inputs"]}
        names = tuple(request["tensors"])
        try:
            if names not in sessions:
                sessions[names] = open_with_kernels(path, names)
            found = [np.ascontiguousarray(each) for each in sessions[names].run(names, inputs)]
        except MissingToolError as error:
            _say(answers, {"missing": error.message, "remedy": error.remedy})
            continue
        except Exception as error:  # its exceptions share no other base
            _say(answers, {"refused": plain_reason(error)})
            continue
        told = [
            {"name": name, "dtype": array.dtype.name, "shape": array.shape}
            for name, array in zip(names, found, strict=True)
        ]
        _say(answers, {"arrays": told}, *found)


def _say(answers: IO[bytes], message: dict[str, Any], *arrays: Any) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    for array in arrays:
        answers.write(array.data)
    answers.flush()


def _read(requests: IO[bytes], entry: dict[str, Any]) -> Any:
    array = np.empty(entry["shape"], dtype=entry["dtype"])
    view = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
    while view:
        count = requests.readinto(view)  # type: ignore[attr-defined]
        if not count:
            sys.exit(1)  # whoever asked has gone
        view = view[count:]
    return array


def main() -> None:
    """Serve on standard input and output; what kernels print goes to the log."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
    # What a kernel tears down at its end is of no use to anyone, and may fail.
    os._exit(0)
