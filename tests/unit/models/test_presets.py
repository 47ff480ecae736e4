"""Presets: what they propose, what speaks against them, and how it comes back from a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.bundle import load_bundle, write_bundle
from deployx_edge.cli import options
from deployx_edge.errors import UsageError
from deployx_edge.model import AxisRange, PostProcessing, PreProcessing, TensorSpec
from deployx_edge.processing.presets import (
    PRESETS,
    ModelFacts,
    check_preset,
    fits,
    open_sides,
    propose_postprocess,
    propose_preprocess,
    usual_size,
)
from deployx_edge.processing.steps import (
    parse_postprocessing,
    parse_preprocessing,
    plain_text,
    step_text,
)
from tests.unit.models.bundles import bundle_value, sources, spec

NAMES = {"names": "{0: 'cat', 1: 'traffic light, red'}", "task": "detect", "stride": "32"}


def facts(
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
    metadata: dict[str, str] | None = None,
    **values: np.ndarray,
) -> ModelFacts:
    def specs(shapes: dict[str, tuple[int, ...]]) -> list[TensorSpec]:
        return [spec(name, shape, runtime_name=name) for name, shape in shapes.items()]

    return ModelFacts(
        inputs=specs(inputs), outputs=specs(outputs), metadata=metadata or {}, values=values
    )


PHOTO = {"images": (1, 3, 320, 320)}
MODELS = {
    "yolov8": facts(PHOTO, {"output0": (1, 6, 2100)}, NAMES),
    "yolov8 pose": facts(
        PHOTO, {"output0": (1, 56, 2100)}, {"task": "pose", "kpt_shape": "[17, 3]"}
    ),
    "yolov8 suppressed": facts(PHOTO, {"output0": (1, 300, 6)}, NAMES),
    "yolox": facts(PHOTO, {"output": (1, 2100, 85)}),
    "ssd": facts(PHOTO, {"scores": (1, 3000, 21), "boxes": (1, 3000, 4)}),
    "ssd with priors": facts(
        PHOTO, {"anchors": (1, 3000, 4), "loc": (1, 3000, 4), "conf": (1, 3000, 4)}
    ),
    "ssd suppressed": facts(PHOTO, {"boxes": (100, 4), "labels": (100,), "scores": (100,)}),
    "rtdetr": facts(PHOTO, {"logits": (1, 300, 80), "pred_boxes": (1, 300, 4)}),
    "rtdetr of one output": facts(PHOTO, {"output0": (1, 300, 84)}),
    "centerface": facts(
        PHOTO,
        {
            "537": (1, 1, 80, 80),
            "538": (1, 2, 80, 80),
            "539": (1, 2, 80, 80),
            "540": (1, 10, 80, 80),
        },
    ),
    "pp-ocr-det": facts(PHOTO, {"map": (1, 1, 320, 320)}),
    "pp-ocr-rec": facts(
        {"x": (1, 3, 48, 320)}, {"s": (1, 40, 6)}, {"character": "a\nb\n|\n\u3000"}
    ),
    "crnn": facts({"x": (1, 1, 32, 100)}, {"s": (26, 1, 37)}),
    "classification": facts({"x": (1, 3, 224, 224)}, {"s": (1, 10)}),
    "segmentation": facts({"x": (1, 3, 320, 320)}, {"s": (1, 19, 80, 80)}),
}


def proposed(name: str, model: ModelFacts) -> tuple[PreProcessing, PostProcessing]:
    known = model.metadata.get("character", "").split("\n") if model.metadata else ()
    return (
        parse_preprocessing(propose_preprocess(name, model), model.inputs),
        parse_postprocessing(propose_postprocess(name, model), model.outputs, known),
    )


@pytest.mark.parametrize("case", MODELS)
def test_every_preset_comes_back_from_a_bundle_and_from_what_is_shown(
    tmp_path: Path, case: str
) -> None:
    model = MODELS[case]
    pre, post = proposed(case.split()[0], model)
    assert parse_preprocessing(plain_text(pre), model.inputs) == pre
    assert parse_postprocessing(plain_text(post), model.outputs) == post
    assert parse_postprocessing(step_text(post), model.outputs) == post
    files = sources(tmp_path / "sources")
    named = [
        [replace(s, runtime_name=f"{kind}{i}") for i, s in enumerate(specs)]
        for kind, specs in (("in", model.inputs), ("out", model.outputs))
    ]
    value = replace(
        bundle_value(tmp_path, files),
        inputs=tuple(named[0]),
        outputs=tuple(named[1]),
        preprocessing=(pre,),
        postprocessing=(post,),
    )
    made = write_bundle(value, files, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle") == made
    assert (made.preprocessing, made.postprocessing) == ((pre,), (post,))


@pytest.mark.parametrize("case", MODELS)
def test_the_family_is_found(case: str) -> None:
    found = {fit.name for fit in fits(MODELS[case]) if not fit.against}
    also = {
        "pp-ocr-det": {"segmentation"},
        "ssd suppressed": {"rtdetr"},
        # 300 queries of two classes have the same shape.
        "yolov8 suppressed": {"rtdetr"},
    }
    assert found == {case.split()[0]} | also.get(case, set())


def test_ultralytics_metadata_is_used() -> None:
    pre, post = proposed("yolov8", MODELS["yolov8"])
    assert (pre.fit, pre.place, pre.fill, pre.scale) == ("letterbox", "centre", 114, 1 / 255)
    assert post.labels == ("cat", "traffic light, red")
    assert post.boxes is not None
    assert (post.boxes.score, post.boxes.iou, post.boxes.most) == (0.25, 0.7, 300)
    odd = replace(MODELS["yolov8"], metadata={**NAMES, "names": "['a\\x1b[31m\\nb', '\"c|d\"']"})
    assert proposed("yolov8", odd)[1].labels == ("a_[31m_b", '"c|d"')
    boxes = proposed("yolov8", MODELS["yolov8 pose"])[1].boxes
    assert boxes is not None
    assert (boxes.points, boxes.point_values) == (17, 3)
    assert usual_size("yolov8", facts({}, {}, {"imgsz": "[320, 640]"})) == (320, 640)
    assert usual_size("yolov8", facts({}, {}, {"imgsz": "416"})) == (416, 416)
    assert usual_size("yolov8", facts({}, {}, {"imgsz": "__import__('os')"})) == (640, 640)


@pytest.mark.parametrize(
    ("like", "model", "words"),
    [
        ("yolov8", facts(PHOTO, {"o": (1, 25200, 85)}), r"'o' is 1x25200x85; .* 4\+classes x 2100"),
        (
            "yolov8",
            facts(PHOTO, {"o": (1, 84, 2100)}, NAMES),
            "the metadata's names are 2; the output 'o' is 1x84x2100, which are 80 classes",
        ),
        ("yolov8", facts(PHOTO, {"o": (1, 6, 2100)}, {"task": "segment"}), "task is 'segment'"),
        ("yolov8", facts({"x": (1, 3, 100, 320)}, {}), "'x' is 1x3x100x320; its sides are no mult"),
        ("yolov8", facts({"x": (1, 1, 320, 320)}, {}), "'x' is 1x1x320x320; yolov8 has images of"),
        (
            "yolov8",
            facts({"a": (1, 8)}, {}),
            "one image .* expected as input; there are 'a' 1x8",
        ),
        ("yolox", MODELS["yolov8"], r"'output0' is 1x6x2100; .* 1 x 2100 x 5\+classes"),
        ("ssd", MODELS["rtdetr"], "'pred_boxes' is 1x300x4; prior boxes are more than 1000"),
        ("rtdetr", MODELS["ssd"], "'boxes' is 1x3000x4; queries are 1000 at most"),
        ("centerface", MODELS["ssd"], "with 1, 2, 2 and 10 channels are expected; there are 'scor"),
        ("pp-ocr-det", MODELS["segmentation"], "'s' is 1x19x80x80; .* it would be 1x1x320x320"),
        ("pp-ocr-rec", MODELS["crnn"], "'x' is 1x1x32x100; pp-ocr-rec has images of 3 channels"),
        ("crnn", MODELS["pp-ocr-rec"], "'x' is 1x3x48x320; crnn has gray images"),
        ("classification", MODELS["yolov8"], "task is 'detect'"),
        ("segmentation", MODELS["classification"], "'s' is 1x10; for an input of 224 x 224 masks"),
    ],
)
def test_what_speaks_against_it_is_named(like: str, model: ModelFacts, words: str) -> None:
    with pytest.raises(UsageError, match=f"not like {like}: .*{words}"):
        propose_preprocess(like, model)
        propose_postprocess(like, model)


def test_open_sides_stay_open_as_ultralytics_leaves_them() -> None:
    ranges = tuple(AxisRange(axis=axis, minimum=64, opt=320, maximum=640) for axis in (2, 3))
    metadata = {**NAMES, "stride": "64", "imgsz": "[320, 640]"}
    model = replace(MODELS["yolov8"], metadata=metadata)
    assert open_sides("yolov8", model) == ("{64..320..320}", "{64..640..640}")
    assert open_sides("yolox", model) is None
    model = replace(model, inputs=[replace(model.inputs[0], ranges=ranges)])  # type: ignore[type-var]
    assert "fit=letterbox,multiple=64," in propose_preprocess("yolov8", model)
    assert "multiple" not in propose_preprocess("yolov8", MODELS["yolov8"])


def test_an_unknown_family_has_a_nearest() -> None:
    with pytest.raises(UsageError, match=r"not 'yolo8'\. Did you mean yolov8"):
        check_preset("yolo8")


def test_the_help_names_every_family() -> None:
    (option,) = options.LikeOption.__metadata__  # type: ignore[attr-defined]
    for name in PRESETS:
        assert name in option.help


@pytest.mark.parametrize(
    ("like", "model", "values", "words"),
    [
        ("yolox", "yolox", {"output": np.full((1, 2100, 85), 1.5)}, "format=yolox,"),
        ("yolox", "yolox", {"output": np.full((1, 2100, 85), 300.0)}, "format=yolo-objectness,"),
        ("classification", "classification", {"s": np.full((1, 10), 0.1)}, ""),
        ("classification", "classification", {"s": np.full((1, 10), 3.0)}, "softmax"),
        ("rtdetr", "rtdetr", {"logits": np.full((1, 300, 80), -3.0)}, "activation=sigmoid"),
        ("pp-ocr-det", "pp-ocr-det", {"map": np.full((1, 1, 320, 320), 4.0)}, "sigmoid"),
        ("crnn", "crnn", {"s": np.full((26, 1, 37), 1 / 37)}, ""),
    ],
)
def test_a_run_shows_what_outputs_still_need(
    like: str, model: str, values: dict[str, np.ndarray], words: str
) -> None:
    text = propose_postprocess(like, replace(MODELS[model], values=values))
    if words:
        assert words in text
    else:
        assert "softmax" not in text
