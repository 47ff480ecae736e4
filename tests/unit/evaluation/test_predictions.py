"""What places say of samples: kept, compared, written; folders that appear whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.metrics.average_precision import AveragePrecision, BoxLedger
from deployx_edge.evaluation.values import Answer, Sample, Target, TrueBoxes
from deployx_edge.model import BoxDecoding, MaskDecoding, PostProcessing
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import Detections, detect
from deployx_edge.workflows.evaluate.files import folder_name
from deployx_edge.workflows.evaluate.predictions import (
    Meaning,
    PredictionStore,
    agreement,
    best_class,
    detections_of,
    quality,
)
from deployx_edge.workflows.staging import staged_folder, write_whole

CLASSES = Meaning(
    task="classification", step=PostProcessing(output="y", softmax=True), classes=("a", "b", "c")
)
SAME = Geometry(width=10, height=10, input_width=10, input_height=10)


def rows(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 6)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "classes", CLASSES)
    for scores in ([0.1, 3.0, 0.2], [5.0, 0.0, 0.0], [np.nan, 0.0, 0.0]):
        store.append(Answer(outputs={"y": np.asarray([scores])}))
    assert len(store) == 3
    assert [best_class(store.read(index)) for index in (2, 0, 1)] == [-1, 1, 0]
    masks = PredictionStore(tmp_path / "masks", Meaning(task="segmentation", step=None, classes=()))
    drawn = np.random.default_rng(1).integers(0, 5, (40, 30)).astype(np.uint8)
    masks.append(Answer(outputs={}, mask=drawn))
    assert np.array_equal(masks.read(0), drawn)
    boxes = Meaning(task="detection", step=None, classes=())
    store = PredictionStore(tmp_path / "boxes", boxes)
    given = detections_of(rows((1, 2, 3, 4, 0.5, 2)))
    store.append(Answer(outputs={}, detections=given))
    back = detections_of(store.read(0))
    assert back.boxes.tolist() == [[1, 2, 3, 4]]
    assert (back.scores.tolist(), back.classes.tolist()) == ([0.5], [2])


def test_memory_is_on_disk(tmp_path: Path) -> None:
    """A thousand masks take the file some kilobytes each, and memory a number each."""
    meaning = Meaning(task="segmentation", step=None, classes=())
    store = PredictionStore(tmp_path / "masks", meaning)
    mask = np.zeros((200, 200), np.uint8)
    for _ in range(1000):
        store.append(Answer(outputs={}, mask=mask))
    assert len(store) == 1000
    assert (tmp_path / "masks").stat().st_size < 1000 * 1000


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (rows(), rows(), 1.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows(), 0.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows((0, 0, 4, 4, 0.5, 1)), 1.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows((0, 0, 4, 4, 0.5, 2)), 0.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows((2, 0, 6, 4, 0.5, 1)), 0.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows((0, 0, 4, 4, 0.2, 1)), 0.0),
        (rows((0, 0, 4, 4, 0.9, 1)), rows((0, 0, 4, 4, 0.9, 1), (5, 5, 9, 9, 0.9, 1)), 2 / 3),
    ],
)
def test_agreement_of_boxes(one: np.ndarray, other: np.ndarray, wanted: float) -> None:
    assert agreement("detection", one, other) == pytest.approx(wanted)
    assert agreement("detection", other, one) == pytest.approx(wanted)


def test_agreement_of_classes_and_pixels() -> None:
    one, other = np.asarray([[1.0, 0.9]]), np.asarray([[1.0, 0.2], [2.0, 0.1]])
    assert agreement("classification", one, other) == 1.0
    assert agreement("classification", one, other[::-1]) == 0.0
    mask = np.asarray([[0, 1], [2, 3]], np.uint8)
    assert agreement("segmentation", mask, mask.T) == 0.5


def test_how_right_an_answer_is() -> None:
    kept = np.asarray([[1.0, 0.9]])
    assert quality("classification", Answer(outputs={}), kept, Target(label=1)) == 1.0
    mask = np.asarray([[0, 255, 1, 1]], np.uint8)
    found = np.asarray([[0, 0, 1, 0]], np.uint8)
    answer = Answer(outputs={}, mask=found)
    assert quality("segmentation", answer, found, Target(mask=mask)) == pytest.approx(2 / 3)
    boxes = np.asarray([[0.0, 0, 4, 4], [0, 0, 9, 9]])
    true = TrueBoxes(
        boxes=boxes, classes=np.zeros(2), crowd=np.asarray([False, True]), areas=np.ones(2)
    )
    answer = Answer(outputs={}, detections=detections_of(rows((0, 0, 4, 4, 0.9, 0))))
    assert quality("detection", answer, rows(), Target(boxes=true)) == 1.0


def test_outputs_get_their_meaning() -> None:
    sample = Sample(name="s", inputs={}, target=Target(), geometry=SAME)
    step = PostProcessing(output="o", kind="detection", boxes=BoxDecoding(format="rows"))
    meaning = Meaning(task="detection", step=step, classes=("a",))
    outputs = {"o": np.asarray([[[1, 1, 5, 5, 0.9, 0]]])}
    answer = meaning.answer(sample, outputs)
    assert isinstance(answer.detections, Detections)
    assert answer.detections.boxes.tolist() == [[1, 1, 5, 5]]
    assert (meaning.word(0), meaning.word(4)) == ("a", "4")
    step = PostProcessing(output="o", kind="segmentation", masks=MaskDecoding(layout="NHW"))
    meaning = Meaning(task="segmentation", step=step, classes=())
    found = meaning.answer(sample, {"o": np.ones((1, 5, 5))}).mask
    assert found is not None
    assert found.shape == (10, 10)
    assert found.all()


def outputs_of(form: str, seed: int) -> dict[str, np.ndarray]:
    """Boxes that overlap a good deal, of any scores; six decimal digits, so that none is equal."""
    random = np.random.default_rng(seed)
    middles, sizes = random.uniform(0, 10, (120, 2)), random.uniform(1, 6, (120, 2))
    scores = random.random((120, 3)) ** 6
    corners = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)
    if form == "pairs":
        return {"b": corners, "s": scores}
    if form == "yolo":
        return {"b": np.concatenate([middles, sizes, scores], axis=1).T[None]}
    classes = random.integers(0, 3, (120, 1))
    return {"b": np.concatenate([corners, scores[:, :1], classes], axis=1)}


@pytest.mark.parametrize("form", ["pairs", "yolo", "rows"])
@pytest.mark.parametrize(
    ("score", "most"), [(0.9, 100), (0.25, 100), (0.25, 3), (0.01, 7), (0.0, 9)]
)
def test_what_is_shown_is_the_beginning_of_what_is_counted(
    tmp_path: Path, form: str, score: float, most: int
) -> None:
    """What lies below a deployment's score suppresses nothing above it, and is not part of it."""
    sample = Sample(name="s", inputs={}, target=Target(), geometry=SAME)

    def step_of(score: float, most: int) -> PostProcessing:
        scores = "s" if form == "pairs" else ""
        boxes = BoxDecoding(format=form, scores=scores, score=score, most=most)
        return PostProcessing(output="b", kind="detection", boxes=boxes)

    meaning = Meaning(task="detection", step=step_of(score, most), classes=("a", "b", "c"))
    store = PredictionStore(tmp_path / "boxes", meaning)
    for seed in range(5):
        outputs = outputs_of(form, seed)
        answer = meaning.answer(sample, outputs)
        kept = store.append(answer)
        shown = detect(step_of(score, most), outputs, SAME)
        counted = detect(step_of(min(score, 0.001), 100), outputs, SAME)
        for rows_of, wanted in (
            (kept, shown),
            (store.read(seed), shown),
            (store.read_candidates(seed), counted),
        ):
            found = detections_of(rows_of)
            assert np.allclose(found.boxes, wanted.boxes)
            assert np.array_equal(found.scores, wanted.scores)
            assert np.array_equal(found.classes, wanted.classes)
        assert len(counted) > len(shown) or score < 0.001


def test_the_whole_curve_counts_whatever_a_deployment_shows() -> None:
    """Half of the things are found with a score of 0.9, half with 0.1: by closed form 1 and 0.5."""
    pytest.importorskip("pycocotools")
    true = TrueBoxes(
        boxes=np.asarray([[0.0, 0, 4, 4], [5, 5, 9, 9]]),
        classes=np.zeros(2, np.int64),
        crowd=np.zeros(2, bool),
        areas=np.full(2, 16.0),
    )
    sample = Sample(name="s", inputs={}, target=Target(boxes=true), geometry=SAME)
    rows_of_both = np.asarray([[0, 0, 4, 4, 0.9, 0], [5, 5, 9, 9, 0.1, 0]])
    for score in (0.0, 0.05, 0.25, 0.95):
        boxes = BoxDecoding(format="rows", score=score)
        step = PostProcessing(output="o", kind="detection", boxes=boxes)
        meaning = Meaning(task="detection", step=step, classes=("a",))
        answer = meaning.answer(sample, {"o": rows_of_both})
        whole, cut = (AveragePrecision("map", BoxLedger(1)) for _ in range(2))
        whole.update(answer, sample.target)
        cut.update(replace(answer, candidates=None), sample.target)
        assert whole.value == pytest.approx(1.0)
        assert cut.value == pytest.approx({0.25: 51 / 101, 0.95: 0.0}.get(score, 1.0))


def test_folders_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out" / "folder"
    with staged_folder(target, "mark") as made:
        (made / "mark").write_text("1")
        assert not target.exists()
    assert (target / "mark").read_text() == "1"
    with pytest.raises(RuntimeError), staged_folder(target, "mark") as made:
        (made / "mark").write_text("2")
        raise RuntimeError
    assert (target / "mark").read_text() == "1"
    with staged_folder(target, "mark") as made:
        (made / "mark").write_text("3")
    assert (target / "mark").read_text() == "3"
    assert [item.name for item in target.parent.iterdir()] == ["folder"]
    (target / "mark").rename(target / "other")
    with pytest.raises(UsageError, match="holds something else"), staged_folder(target, "mark"):
        pass
    write_whole(tmp_path / "a" / "file", "text")
    assert (tmp_path / "a" / "file").read_text() == "text"


def test_places_make_folders() -> None:
    assert folder_name("virtual:linux-arm64?cpu=cortex-a76") == "virtual-linux-arm64-cpu=cortex-a76"
    assert folder_name("this computer") == "this-computer"
    assert folder_name("://") == "place"
