"""Writes the trained detector as an ONNX file: ``python -m examples.detector.export [FILE]``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

from examples.detector.model import detector

WEIGHTS = Path(__file__).with_name("detector.pt")


def export(path: Path) -> None:
    """One image 1x3x128x128, RGB in 0 … 1, becomes boxes and scores (see README.md)."""
    network = detector()
    network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older one, and needs nothing else
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, 128, 128),),
            str(path),
            input_names=["image"],
            output_names=["boxes", "scores"],
            dynamo=False,
        )


if __name__ == "__main__":
    export(Path(sys.argv[1] if len(sys.argv) > 1 else "detector.onnx"))
