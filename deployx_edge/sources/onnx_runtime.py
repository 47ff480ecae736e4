"""ONNX Runtime on this computer's CPU: the one way in which models are opened there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def open_model(model: bytes | str, *, folder: Path | None = None, optimized: bool = False) -> Any:
    """A session for a model, given as its bytes or its path; ONNX Runtime's errors pass.

    ``folder`` is where the external data of a model in bytes lies; it is mapped, not copied.
    The graph runs as it stands, node by node: what a model computes must not depend on
    optimisations of the graph, which were seen to be wrong (ONNX Runtime 1.31.1 drops a Pad
    before a MaxPool). ``optimized`` is for ONNX Runtime as the runtime that is under test.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder.absolute())
        )
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # it would print to standard output and try the same again
    )


def open_with_outputs(path: Path, names: Sequence[str]) -> Any:
    """A session for a bundle's file that gives any of its tensors, optimised as on a board."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    own = [value.name for value in model.graph.output]
    if all(name in own for name in names):
        # By its path, so that weights beside the file are mapped, not copied.
        return open_model(str(path), optimized=True)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return open_model(model.SerializeToString(), folder=path.parent, optimized=True)
