"""A small bundle on disk; its files hold no real model."""

from __future__ import annotations

from pathlib import Path

from deployx_edge.bundle import (
    Bundle,
    IntermediateCheck,
    OutputCheck,
    Provenance,
    Verification,
    describe_file,
    write_bundle,
)
from deployx_edge.model import AxisRange, PostProcessing, PreProcessing, TensorSpec


def spec(
    name: str = "image",
    shape: tuple[int, ...] = (1, 3, 8, 6),
    batch_axis: int | None = 0,
    runtime_name: str = "in0",
    ranges: tuple[AxisRange, ...] = (),
) -> TensorSpec:
    return TensorSpec(
        name=name,
        runtime_name=runtime_name,
        dtype="float32",
        shape=shape,
        layout="",
        batch_axis=batch_axis,
        ranges=ranges,
    )


def bundle_value(folder: Path, sources: dict[str, Path]) -> Bundle:
    return Bundle(
        folder=folder,
        name="tiny",
        runtime="ncnn",
        precision="fp32",
        files=tuple(describe_file(name.rpartition(".")[2], p, name) for name, p in sources.items()),
        inputs=(spec(),),
        outputs=(spec("scores", (1, 10), runtime_name="out0"),),
        preprocessing=(
            PreProcessing(input="image", width=6, height=8, mean=(1.0, 2.5, 3.0), fit="crop"),
        ),
        postprocessing=(PostProcessing(output="scores", softmax=True, labels=("a", "ä")),),
        provenance=Provenance(
            tools=(("deployx-edge", "0.1.0"), ("pnnx", "1")),
            source_file="tiny.onnx",
            source_sha256="0" * 64,
            notes=("said aloud",),
            verification=Verification(
                status="passed",
                reference="onnxruntime 1",
                inputs=3,
                outputs=(
                    OutputCheck(
                        output="scores",
                        verdict="same",
                        relative_error=1e-6,
                        slice_error=0.0,
                        max_abs_error=1e-5,
                        snr_db=None,
                        cosine=1.0,
                        variation=4.5,
                        magnitude=8.0,
                    ),
                ),
                samples=1,
                intermediates=IntermediateCheck(
                    compared=4, unproven=1, worst="relu", worst_error=2e-6
                ),
            ),
        ),
    )


def sources(folder: Path, weights: bytes = b"weights") -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    param, weight_file = folder / "p", folder / "b"
    param.write_text("7767517\n0 0\n")
    weight_file.write_bytes(weights)
    return {"tiny.param": param, "tiny.bin": weight_file}


def written(folder: Path, weights: bytes = b"weights") -> Bundle:
    """The bundle, written to ``folder / "bundle"``."""
    files = sources(folder / "sources", weights)
    return write_bundle(bundle_value(folder, files), files, folder / "bundle")
