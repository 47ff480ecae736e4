"""Metrics of boxes, masks and images, against pycocotools, scikit-learn and scikit-image."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from skimage.metrics import structural_similarity as their_similarity
from sklearn.metrics import confusion_matrix, jaccard_score

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.evaluation.metrics.average_precision import AveragePrecision, BoxLedger
from deployx_edge.evaluation.metrics.bootstrap import bootstrap_interval
from deployx_edge.evaluation.metrics.iou import MeanIntersection
from deployx_edge.evaluation.metrics.metrics import check_fits, default_metric, metric_by_name
from deployx_edge.evaluation.metrics.ssim import structural_similarity
from deployx_edge.evaluation.values import Answer, Target, TrueBoxes
from deployx_edge.processing.postprocessing import Detections
from tests.unit.models.bundles import spec

CLASSES = 3


def random_boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    low = generator.uniform(0, 80, (count, 2))
    return np.concatenate([low, low + generator.uniform(4, 40, (count, 2))], axis=1)


def sample(generator: np.random.Generator) -> tuple[Detections, TrueBoxes]:
    """Some of the boxes are found a little beside, some not, and there are others."""
    true = random_boxes(generator, int(generator.integers(0, 6)))
    classes = generator.integers(0, CLASSES, len(true))
    seen = generator.random(len(true)) < 0.8
    beside = true[seen] + generator.normal(0, 1, (int(seen.sum()), 4))
    beside[:, 2:] = np.maximum(beside[:, 2:], beside[:, :2] + 1)
    others = random_boxes(generator, int(generator.integers(0, 4)))
    boxes = np.concatenate([beside, others])
    found = np.concatenate([classes[seen], generator.integers(0, CLASSES, len(others))])
    scores = np.round(generator.random(len(boxes)), 2)  # some are equal
    order = np.argsort(-scores, kind="stable")
    sides = true[:, 2:] - true[:, :2]
    return (
        Detections(boxes=boxes[order], scores=scores[order], classes=found[order]),
        TrueBoxes(
            boxes=true,
            classes=classes,
            crowd=generator.random(len(true)) < 0.1,
            areas=sides[:, 0] * sides[:, 1],
        ),
    )


def samples(count: int, seed: int = 1) -> list[tuple[Detections, TrueBoxes]]:
    generator = np.random.default_rng(seed)
    return [sample(generator) for _ in range(count)]


def fed(name: str, given: list[tuple[Detections, TrueBoxes]]) -> AveragePrecision:
    metric = metric_by_name(name, outputs=[], classes=CLASSES, names=("a", "b", "c"))
    assert isinstance(metric, AveragePrecision)
    for found, true in given:
        metric.update(Answer(outputs={}, detections=found), Target(boxes=true))
    return metric


def directly(given: list[tuple[Detections, TrueBoxes]]) -> np.ndarray:
    """The twelve numbers of pycocotools, with its own loading of results."""
    truth, answers = COCO(), []
    entries = []
    for image, (found, true) in enumerate(given, start=10):
        for box, word, crowd, area in zip(
            true.boxes, true.classes, true.crowd, true.areas, strict=True
        ):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": image,
                    "category_id": int(word) + 7,
                    "bbox": bbox,
                    "iscrowd": int(crowd),
                    "area": area,
                }
            )
        for box, score, word in zip(found.boxes, found.scores, found.classes, strict=True):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            answers.append(
                {"image_id": image, "category_id": int(word) + 7, "bbox": bbox, "score": score}
            )
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(10, 10 + len(given))],
        "categories": [{"id": number + 7} for number in range(CLASSES)],
        "annotations": entries,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_average_precision_is_pycocotools(seed: int) -> None:
    given_ = samples(30, seed)
    stats = directly(given_)
    assert 0.1 < stats[0] < stats[1] < 1.0
    assert fed("map", given_).value == pytest.approx(stats[0], abs=1e-12)
    assert fed("map50", given_).value == pytest.approx(stats[1], abs=1e-12)


@pytest.mark.parametrize("name", ["map", "map50"])
def test_weighting_samples_is_repeating_them(name: str) -> None:
    given_ = samples(20)
    metric = fed(name, given_)
    ones = np.ones(20, dtype=np.int64)
    assert metric.resampled(ones) == pytest.approx(metric.value, abs=1e-12)
    weights = np.random.default_rng(5).integers(0, 3, 20)
    repeated = [item for item, weight in zip(given_, weights, strict=True) for _ in range(weight)]
    assert metric.resampled(weights) == pytest.approx(fed(name, repeated).value, abs=1e-9)


def test_average_precision_by_class_and_shared_boxes() -> None:
    given_ = samples(20)
    ledger = BoxLedger(CLASSES)
    first, second = (AveragePrecision(name, ledger, ("a", "b", "c")) for name in ("map", "map50"))
    for found, true in given_:
        for metric in (first, second):
            metric.update(Answer(outputs={}, detections=found), Target(boxes=true))
    assert len(ledger.found) == first.count == second.count == 20
    assert first.value < second.value
    entries = first.per_class
    assert [entry.name for entry in entries] == ["a", "b", "c"]
    assert np.mean([entry.value for entry in entries]) == pytest.approx(first.value)
    things = sum(int((~true.crowd).sum()) for _, true in given_)
    assert sum(entry.count for entry in entries) == things
    assert first.running == f"{sum(len(found) for found, _ in given_)} boxes"


def test_no_boxes_at_all() -> None:
    nothing = Detections(
        boxes=np.zeros((0, 4)), scores=np.zeros(0), classes=np.zeros(0, dtype=np.int64)
    )
    _, true = samples(9)[-1]
    assert len(true.boxes)
    assert fed("map", [(nothing, true)]).value == 0.0
    empty = TrueBoxes(
        boxes=np.zeros((0, 4)), classes=np.zeros(0), crowd=np.zeros(0), areas=np.zeros(0)
    )
    assert np.isnan(fed("map", [(nothing, empty)]).value)


def test_boxes_of_no_class_are_refused() -> None:
    found, true = samples(9)[-1]
    ledger = BoxLedger(1)
    metric = AveragePrecision("map", ledger)
    with pytest.raises(UsageError, match="has a box of class 2; there are 1"):
        metric.update(Answer(outputs={}, detections=found), Target(boxes=true))
    with pytest.raises(UsageError, match="the boxes of every sample"):
        metric.update(Answer(outputs={}, detections=found), Target())
    with pytest.raises(UsageError, match="No sample"):
        _ = metric.value


def test_without_pycocotools_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(MissingToolError, match=r"pip install 'deployx-edge\[evaluation\]'"):
        metric_by_name("map", outputs=[], classes=3)


def masks(seed: int, classes: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(5):
        truth = generator.integers(0, classes, (9, 7)).astype(np.uint8)
        found = np.where(generator.random((9, 7)) < 0.7, truth, 1).astype(np.uint8)
        truth[generator.random((9, 7)) < 0.1] = 255
        pairs.append((truth, found))
    return pairs


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_intersections_are_scikit_learns(seed: int) -> None:
    metric = MeanIntersection(4, ("ground", "a", "b", "c"))
    pairs = masks(seed)
    for truth, found in pairs:
        metric.update(Answer(outputs={}, mask=found), Target(mask=truth))
    truth, found = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    truth, found = truth[truth != 255], found[truth != 255]
    wanted = jaccard_score(truth, found, average=None, labels=range(4))
    assert metric.value == pytest.approx(wanted.mean())
    assert [entry.value for entry in metric.per_class] == pytest.approx(wanted)
    assert np.array_equal(metric.confusion, confusion_matrix(truth, found, labels=range(4)))
    assert metric.resampled(np.ones(5, dtype=np.int64)) == pytest.approx(metric.value)
    assert len(metric.per_sample) == 5


def test_classes_that_do_not_occur_do_not_count() -> None:
    metric = MeanIntersection(4)
    truth = np.asarray([[0, 0, 1, 1]], np.uint8)
    found = np.asarray([[0, 1, 1, 255]], np.uint8)  # the last one was not shown to the model
    metric.update(Answer(outputs={}, mask=found), Target(mask=truth))
    assert metric.value == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert [entry.name for entry in metric.per_class] == ["0", "1"]


@pytest.mark.parametrize(
    ("found", "target", "words"),
    [
        (np.zeros((2, 2), np.uint8), Target(), "the mask of every sample"),
        (None, Target(mask=np.zeros((2, 2), np.uint8)), "the class of each pixel"),
        (np.zeros((2, 3), np.uint8), Target(mask=np.zeros((2, 2), np.uint8)), "2x3 cannot be held"),
        (np.zeros((2, 2), np.uint8), Target(mask=np.full((2, 2), 9, np.uint8)), "data set has a p"),
        (
            np.full((2, 2), 4, np.uint8),
            Target(mask=np.zeros((2, 2), np.uint8)),
            "of class 4; there",
        ),
    ],
)
def test_masks_that_do_not_fit(found: np.ndarray | None, target: Target, words: str) -> None:
    metric = MeanIntersection(4)
    with pytest.raises(UsageError, match=words):
        metric.update(Answer(outputs={}, mask=found), target)
    assert metric.count == 0


@pytest.mark.parametrize("shape", [(1, 3, 32, 24), (1, 24, 32, 3), (16, 40)])
def test_similarity_is_scikit_images(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(3)
    one = generator.random(shape)
    other = np.clip(one + generator.normal(0, 0.1, shape), 0, 1)
    squeezed = one.reshape(shape[1:] if len(shape) == 4 else shape)
    axis = None if squeezed.ndim == 2 else 0 if squeezed.shape[0] == 3 else 2
    wanted = their_similarity(
        squeezed,
        other.reshape(squeezed.shape),
        data_range=1.0,
        channel_axis=axis,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert structural_similarity(one, other) == pytest.approx(wanted, abs=1e-9)


def test_similarity_by_closed_form() -> None:
    """Of two flat images: (2 a b + C) / (a² + b² + C), C = 0.01² of the peak's square."""
    one, other = np.full((12, 12), 0.25), np.full((12, 12), 0.75)
    constant = 1e-4
    wanted = (2 * 0.25 * 0.75 + constant) / (0.25**2 + 0.75**2 + constant)
    assert structural_similarity(one, other) == pytest.approx(wanted)
    assert structural_similarity(255 * one, 255 * other, 255.0) == pytest.approx(wanted)
    assert structural_similarity(one, one) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="images of 11x11 at least, this is 8x12"):
        structural_similarity(np.zeros((8, 12)), np.zeros((8, 12)))


def test_ssim_is_the_mean_over_samples() -> None:
    metric = metric_by_name("ssim", outputs=[spec("y", (1, 1, 12, 12))])
    flat = np.full((1, 1, 12, 12), 0.5)
    metric.update(Answer(outputs={"y": flat}), Target(arrays={"y": flat}))
    metric.update(Answer(outputs={"y": flat * 0}), Target(arrays={"y": flat}))
    constant = 1e-4
    assert metric.value == pytest.approx((1 + constant / (0.25 + constant)) / 2)
    assert metric.running.startswith("ssim 0.5")


class Mean:
    """A metric whose interval is known: the mean of one number a sample."""

    draws = 2000

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def value(self) -> float:
        return float(self.values.mean())

    @property
    def count(self) -> int:
        return len(self.values)

    def resampled(self, weights: np.ndarray) -> float:
        return float(weights @ self.values / weights.sum())


def test_the_bootstrap_of_a_mean_is_that_of_the_textbooks() -> None:
    values = np.random.default_rng(7).normal(0.5, 0.1, 400)
    interval = bootstrap_interval(Mean(values))
    assert interval is not None
    half = 1.96 * values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.0025)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.0025)
    assert bootstrap_interval(Mean(values)) == interval  # seeded


def test_pairing_makes_a_difference_sure() -> None:
    values = np.random.default_rng(7).normal(0.5, 0.1, 400)
    paired = bootstrap_interval(Mean(values + 0.1), Mean(values))
    assert paired is not None
    assert paired.value == pytest.approx(0.1)
    assert (paired.low, paired.high) == pytest.approx((0.1, 0.1))
    assert bootstrap_interval(Mean(values[:1])) is None


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000))
def test_an_interval_holds_its_figure(seed: int) -> None:
    metric = fed("map", samples(12, seed))
    interval = bootstrap_interval(metric)
    assert interval is not None
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0


@pytest.mark.parametrize(
    ("name", "task", "truths", "words"),
    [
        ("map", "classification", {"boxes"}, "map is of boxes, and nothing says"),
        ("miou", "detection", {"masks"}, "miou is of masks, and nothing says"),
        ("map50", "detection", {"labels"}, "map50 needs the boxes of every sample"),
        ("miou", "segmentation", {"boxes"}, "miou needs the mask of every sample"),
        ("top1", "detection", {"boxes"}, "top1 needs the class of every sample"),
        ("ssim", "classification", {"labels"}, "ssim needs what output 'y' should be"),
    ],
)
def test_metrics_that_do_not_fit_the_data(
    name: str, task: str, truths: set[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_fits(name, task=task, truths=truths, output="y")


def test_each_task_has_its_metric() -> None:
    assert default_metric("classification", {"labels"}) == "top1"
    assert default_metric("detection", {"boxes"}) == "map"
    assert default_metric("segmentation", {"masks"}) == "miou"
    assert default_metric("classification", {"arrays"}) == "mse"
