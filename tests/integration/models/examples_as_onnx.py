"""The trained examples as ONNX files, by PyTorch's own exporter that takes a second."""

from __future__ import annotations

import warnings
from pathlib import Path

ROOT = Path(__file__).parents[3]


def export_example(name: str, folder: Path) -> Path:
    """``detector`` (outputs boxes and scores) or ``segmenter`` (output classes)."""
    import torch

    from examples.detector.model import detector
    from examples.segmenter.model import segmenter

    network = {"detector": detector, "segmenter": segmenter}[name]()
    weights = ROOT / "examples" / name / f"{name}.pt"
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    side = {"detector": 128, "segmenter": 96}[name]
    path = folder / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side, side),),
            str(path),
            input_names=["image"],
            output_names={"detector": ["boxes", "scores"], "segmenter": ["classes"]}[name],
            dynamo=False,
        )
    return path
