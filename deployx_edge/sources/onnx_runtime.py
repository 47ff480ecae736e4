"""ONNX Runtime on this computer's CPU: the one way in which models are opened there."""

from __future__ import annotations

from typing import Any


def open_model(model: bytes | str) -> Any:
    """A session for a model, given as its bytes or its path; ONNX Runtime's errors pass."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # it would print to standard output and try the same again
    )
