"""Ask TensorRT-RTX's parser about a model, in a process of its own, where it may die alone.

``parser.py`` beside it starts this file, which imports nothing of ours, by a Python that has the
parser, with the ONNX file's path. One line of JSON comes back: {"version", "errors": [{"index",
"node", "operator", "code", "text"}…]}, without errors where the parser takes the model, or
{"unusable": …} where the parser itself cannot be loaded. No GPU is needed: nothing is built.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_INSIDE = "the parser gave no reason"


def parse(path: Path) -> dict[str, Any]:
    """What is printed; ImportError, OSError or AttributeError where it cannot be loaded."""
    import tensorrt_rtx_bindings as rtx

    said: list[str] = []

    class _Logger(rtx.ILogger):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            rtx.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (rtx.ILogger.Severity.ERROR, rtx.ILogger.Severity.INTERNAL_ERROR):
                said.append(message)

    logger = _Logger()
    builder = rtx.Builder(logger)
    if builder is None:
        raise OSError(" ".join(said) or "its builder does not start")
    typed = 1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = rtx.OnnxParser(network, logger)
    taken = parser.parse(path.read_bytes())
    errors = [_error(parser.get_error(index)) for index in range(parser.num_errors)]
    if not taken and not errors:
        errors = [
            {"index": -1, "node": "", "operator": "", "code": "", "text": (said or [_INSIDE])[-1]}
        ]
    return {"version": rtx.__version__, "errors": errors}


def _error(found: Any) -> dict[str, Any]:
    return {
        "index": found.node(),
        "node": found.node_name(),
        "operator": found.node_operator(),
        "code": found.code().name,
        "text": found.desc(),
    }


def main() -> int:
    """Answer about the file that the command line names; the exit code."""
    try:
        answer = parse(Path(sys.argv[1]))
    except (ImportError, OSError, AttributeError) as error:
        answer = {"unusable": str(error)}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
