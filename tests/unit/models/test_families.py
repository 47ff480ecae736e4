"""Presets' post-processing against each family's published definition, written plainly here."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.model import PreProcessing
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.preprocessing import input_from_image
from deployx_edge.processing.presets import ModelFacts, propose_postprocess, propose_preprocess
from deployx_edge.processing.results import Detections, Interpretation, TextLine
from deployx_edge.processing.steps import parse_postprocessing, parse_preprocessing
from tests.unit.models.bundles import spec

SIDE = 64
# An image of 200 x 100, stretched to the input.
STRETCHED = Geometry(
    width=200, height=100, input_width=SIDE, input_height=SIDE, scale_x=0.32, scale_y=0.64
)
SEEDS = st.integers(0, 2**32 - 1)


def facts_of(shape: tuple[int, ...], outputs: dict[str, np.ndarray]) -> ModelFacts:
    return ModelFacts(
        inputs=[spec("images", shape)],
        outputs=[spec(name, array.shape, runtime_name=name) for name, array in outputs.items()],
        values=outputs,
    )


def said(like: str, shape: tuple[int, ...], outputs: dict[str, np.ndarray]) -> Interpretation:
    facts = facts_of(shape, outputs)
    step = parse_postprocessing(propose_postprocess(like, facts), facts.outputs)
    return interpret(step, outputs, STRETCHED)


def rows_of(found: Interpretation) -> np.ndarray:
    assert isinstance(found, Detections)
    return np.column_stack([found.boxes, found.scores, found.classes])


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    return shared / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared)


def in_image(boxes: np.ndarray) -> np.ndarray:
    """Shares of the input's sides as pixels of the image, cut to it."""
    return np.clip(boxes, 0, 1) * [200, 100, 200, 100]


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_rtdetr_takes_each_query_and_class_above_a_half(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(-4, 2, (1, 100, 5))
    boxes = random.uniform(0.2, 0.6, (1, 100, 4))
    found = rows_of(said("rtdetr", (1, 3, SIDE, SIDE), {"logits": logits, "pred_boxes": boxes}))
    scores = 1 / (1 + np.exp(-logits[0]))
    wanted = []
    for place in np.argsort(-scores.reshape(-1), kind="stable")[:300]:
        query, label = divmod(int(place), 5)
        if scores[query, label] >= 0.5:
            cx, cy, w, h = boxes[0, query]
            box = in_image(np.asarray([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]))
            wanted.append([*box, scores[query, label], label])
    assert found == pytest.approx(np.asarray(wanted).reshape(-1, 6))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_ssd_suppresses_class_by_class(seed: int, raw: bool) -> None:
    """With prior boxes: offsets from them by the variances 0.1 and 0.2; else decoded already."""
    random = np.random.default_rng(seed)
    count, classes = 1200, 3
    scores = np.zeros((1, count, classes + 1))
    scores[..., 0] = 1.0
    sure = random.choice(count, 20, replace=False)
    scores[0, sure] = random.dirichlet([0.2, 1, 1, 1], 20)
    middles, sides = random.uniform(0.3, 0.7, (count, 2)), random.uniform(0.1, 0.4, (count, 2))
    priors = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)[None]
    outputs = {"scores": scores, "boxes": priors}
    corners = priors[0]
    if raw:
        offsets = random.normal(0, 1, (1, count, 4))
        outputs = {"priors": priors, "scores": scores, "offsets": offsets}
        at = middles + 0.1 * offsets[0, :, :2] * sides
        size = sides * np.exp(0.2 * offsets[0, :, 2:])
        corners = np.concatenate([at - size / 2, at + size / 2], axis=1)
    found = rows_of(said("ssd", (1, 3, SIDE, SIDE), outputs))
    wanted = []
    for label in range(classes):
        kept: list[np.ndarray] = []
        order = np.argsort(-scores[0, :, label + 1], kind="stable")
        for place in order[scores[0, order, label + 1] >= 0.5]:
            if all(overlap(corners[place], other) <= 0.45 for other in kept):
                kept.append(corners[place])
                box = in_image(corners[place])
                wanted.append([*box, scores[0, place, label + 1], label])
    wanted.sort(key=lambda row: -row[4])
    assert found == pytest.approx(np.asarray(wanted).reshape(-1, 6))


def test_tensorflow_s_list_has_rows_first_and_classes_from_one() -> None:
    outputs = {
        "num_detections": np.asarray([2.0]),
        "detection_scores": np.asarray([[0.9, 0.4]]),
        "detection_classes": np.asarray([[3.0, 1.0]]),
        "detection_boxes": np.asarray([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]]),
    }
    found = rows_of(said("ssd", (1, 3, SIDE, SIDE), outputs))
    assert found == pytest.approx(np.asarray([[40, 10, 120, 50, 0.9, 2]]))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_yolox_suppresses_across_classes(seed: int, decoded: bool) -> None:
    random = np.random.default_rng(seed)
    grids = [(stride, SIDE // stride) for stride in (8, 16, 32)]
    cells = [(x, y, stride) for stride, n in grids for y in range(n) for x in range(n)]
    raw = np.zeros((1, len(cells), 7))
    raw[0, :, :2] = random.uniform(0, 1, (len(cells), 2))
    raw[0, :, 2:4] = random.normal(0.3, 0.3, (len(cells), 2))
    raw[0, :, 4:] = random.uniform(0, 1, (len(cells), 3))
    places = np.asarray(cells, float)
    middles = (raw[0, :, :2] + places[:, :2]) * places[:, 2:]
    sides = np.exp(raw[0, :, 2:4]) * places[:, 2:]
    given_rows = raw.copy()
    if decoded:
        given_rows[0, :, :2], given_rows[0, :, 2:4] = middles, sides
    found = rows_of(said("yolox", (1, 3, SIDE, SIDE), {"output": given_rows}))
    corners = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)
    scores = raw[0, :, 4:5] * raw[0, :, 5:]
    best = scores.max(axis=1)
    kept: list[int] = []
    for place in np.argsort(-best, kind="stable"):
        if best[place] >= 0.3 and all(overlap(corners[place], corners[k]) <= 0.45 for k in kept):
            kept.append(int(place))
    limits = np.clip(corners[kept], 0, SIDE) / SIDE
    wanted = np.column_stack([in_image(limits), best[kept], scores[kept].argmax(axis=1)])
    assert found == pytest.approx(wanted)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_crnn_spells_what_its_own_alphabet_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (26, 1, 37))
    logits[random.random(26) < 0.4, 0, 0] += 20
    found = said("crnn", (1, 1, 32, 100), {"s": logits})
    assert isinstance(found, TextLine)
    alphabet = "-0123456789abcdefghijklmnopqrstuvwxyz"
    raw = "".join(alphabet[index] for index in logits[:, 0].argmax(axis=1))
    assert found.text == "".join(key for key, _ in groupby(raw)).replace("-", "")
    assert all(0 < score <= 1 for score in found.characters)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_crnn_of_mmocr_has_the_blank_last(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (1, 26, 37))
    logits[0, random.random(26) < 0.4, 36] += 20
    found = said("crnn", (1, 1, 32, 100), {"s": logits})
    assert isinstance(found, TextLine)
    raw = "".join("0123456789abcdefghijklmnopqrstuvwxyz-"[index] for index in logits[0].argmax(1))
    assert found.text == "".join(key for key, _ in groupby(raw)).replace("-", "")


def image_step(like: str, shape: tuple[int, ...], dtype: str = "float32") -> PreProcessing:
    inputs = [replace(spec("images", shape), dtype=dtype)]
    return parse_preprocessing(propose_preprocess(like, ModelFacts(inputs=inputs)), inputs)


@pytest.mark.parametrize(
    ("like", "shape", "wanted"),
    [
        ("yolov8", (1, 3, 32, 32), lambda v: v / 255),
        ("yolox", (1, 3, 32, 32), lambda v: v[::-1]),
        ("ssd", (1, 3, 32, 32), lambda v: (v - 127) / 128),
        ("rtdetr", (1, 3, 32, 32), lambda v: v / 255),
        ("centerface", (1, 3, 32, 32), lambda v: v),
        ("pp-ocr-det", (1, 3, 32, 32), lambda v: (v[::-1] / 255 - 0.5) / 0.5),
        ("pp-ocr-rec", (1, 3, 32, 32), lambda v: (v[::-1] / 255 - 0.5) / 0.5),
        ("crnn", (1, 1, 32, 32), lambda v: v / 127.5 - 1),
    ],
)
def test_values_are_those_that_the_family_is_given(like, shape, wanted) -> None:
    """On an image of the input's own size, of which nothing is resized."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if shape[1] == 1:
        image = image.convert("L")
    values = np.asarray(image, np.float64).reshape(32, 32, -1).transpose(2, 0, 1)
    found = input_from_image(image, image_step(like, shape)).array[0]
    assert found == pytest.approx(wanted(values), abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "outputs", "wanted"),
    [
        ((1, 3, 320, 320), {}, lambda v: (v / 255 - 0.5) / 0.5),
        ((3, 320, 320), {}, lambda v: v / 255),
        ((1, 3, 300, 300), {"loc": (1, 3000, 4)}, lambda v: (v - 127) / 128),
        (
            (1, 3, 300, 300),
            {"loc": (1, 8732, 4)},
            lambda v: v - 255 * np.array([0.48235, 0.45882, 0.40784]).reshape(3, 1, 1),
        ),
    ],
)
def test_ssd_is_torchvision_s_where_it_looks_so(shape, outputs, wanted) -> None:
    facts = ModelFacts(
        inputs=[spec("images", shape)],
        outputs=[spec(name, size, runtime_name=name) for name, size in outputs.items()],
    )
    step = parse_preprocessing(propose_preprocess("ssd", facts), facts.inputs)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (*shape[-2:], 3), dtype=np.uint8)
    found = input_from_image(Image.fromarray(pixels), step).array[0]
    assert found == pytest.approx(wanted(pixels.transpose(2, 0, 1).astype(np.float64)), abs=1e-4)


def test_offsets_without_their_prior_boxes_are_no_boxes() -> None:
    random = np.random.default_rng(0)
    outputs = {
        "scores": random.dirichlet([1, 1, 1], 1200)[None],
        "offsets": random.normal(0, 1, (1, 1200, 4)),
    }
    with pytest.raises(UsageError, match="'offsets' is 1x1200x4, and boxes in it end before they"):
        said("ssd", (1, 3, SIDE, SIDE), outputs)


def test_prior_boxes_may_be_middles_and_sides() -> None:
    random = np.random.default_rng(0)
    priors = np.concatenate(
        [random.uniform(0.3, 0.7, (1, 1200, 2)), random.uniform(0.05, 0.2, (1, 1200, 2))], axis=-1
    )
    scores = np.zeros((1, 1200, 3))
    scores[0, :, 0], scores[0, 7] = 1.0, [0.1, 0.2, 0.7]
    outputs = {"priors": priors, "scores": scores, "offsets": np.zeros((1, 1200, 4))}
    found = rows_of(said("ssd", (1, 3, SIDE, SIDE), outputs))
    x, y, w, h = priors[0, 7]
    box = in_image(np.asarray([x - w / 2, y - h / 2, x + w / 2, y + h / 2]))
    assert found == pytest.approx(np.asarray([[*box, 0.7, 1]]))


def test_an_input_of_whole_numbers_takes_them_as_they_are() -> None:
    step = image_step("ssd", (1, 300, 300, 3), "uint8")
    assert (step.layout, step.scale, step.mean, step.std) == ("NHWC", 1.0, (0.0,) * 3, (1.0,) * 3)
