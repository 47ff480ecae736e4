from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from rich.console import Console

from deployx_edge.model import PostProcessing
from deployx_edge.processing.findings import (
    Finding,
    FoundArea,
    FoundBox,
    FoundText,
    SampleFound,
    find,
    summarise_output,
)
from deployx_edge.processing.geometry import Geometry
from deployx_edge.report.outputs import FoundTables, outputs_document, sample_document

GEOMETRY = Geometry(width=4, height=4, input_width=4, input_height=4)


def sample(number: int = 0, **parts: object) -> SampleFound:
    named = {"findings": (), "outputs": (), "width": 4, "height": 4, **parts}
    return SampleFound(
        name=f"{number}.png",
        file=Path(f"{number}.png"),
        compute_ns=2_000_000,
        **named,  # type: ignore[arg-type]
    )


def shown(*samples: SampleFound, **more: object) -> str:
    tables = FoundTables()
    for each in samples:
        tables.add(each)
    stream = io.StringIO()
    Console(width=160, file=stream).print(tables.report(**more))  # type: ignore[arg-type]
    return stream.getvalue()


def test_labels_and_probabilities_are_those_of_the_post_processing() -> None:
    step = PostProcessing(output="scores", softmax=True, labels=("cat", "dog", "cow"))
    outputs = {"scores": np.log([[0.2, 0.7, 0.1]]).astype(np.float32)}
    text = shown(sample(findings=find(step, outputs, GEOMETRY)))
    assert "0.7 (dog), 0.2 (cat), 0.1 (cow)" in text


def test_scores_of_several_samples_in_one_run_are_told_apart() -> None:
    step = PostProcessing(output="scores")
    outputs = {"scores": np.asarray([[0.5, 3.0, -1.0], [9.0, 0.0, 0.0]], np.float32)}
    text = shown(sample(findings=find(step, outputs, GEOMETRY)))
    assert "3 (1), 0.5 (0), -1 (2)" in text and "9 (0)" in text
    assert "0.png [0]" in text and "0.png [1]" in text


def test_of_what_nobody_explained_shape_type_and_range_are_said() -> None:
    boxes = summarise_output(
        "boxes", np.arange(40, dtype=np.float32).reshape(1, 10, 4), scores=True
    )
    text = shown(sample(outputs=(boxes,)))
    assert "1x10x4" in text and "float32" in text and "0 … 39" in text
    assert "largest" not in text
    vector = summarise_output("y", np.asarray([[1.0, 4.0, 2.0]], np.float32), scores=True)
    assert "4 (1), 2 (2), 1 (0)" in shown(sample(outputs=(vector,)))
    # Whole numbers are no scores, and neither is one of several outputs.
    for array, scores in ((np.asarray([[1, 4, 2]]), True), (np.asarray([[1.0, 4.0]]), False)):
        assert summarise_output("y", array, scores=scores).largest == ()


def test_an_empty_array_and_one_of_nan_have_no_range() -> None:
    empty = summarise_output("e", np.zeros((0, 6), np.float32), scores=True)
    assert (empty.low, empty.high, empty.largest) == (None, None, ())
    broken = summarise_output("n", np.asarray([np.nan, 1.0, np.inf], np.float32), scores=True)
    assert (broken.low, broken.high, broken.not_finite) == (1.0, 1.0, 2)
    text = shown(sample(outputs=(empty, broken)))
    assert "0x6" in text and "2 of 3 values are NaN or infinite" in text


def boxed(label: str, score: float, points: tuple[tuple[float, float, float], ...] = ()) -> Finding:
    box = FoundBox(index=0, label=label, score=score, x0=0, y0=1, x1=2, y1=3.25, points=points)
    return Finding(output="boxes", kind="detection", boxes=(box,))


def test_many_samples_are_counted_and_the_first_are_shown() -> None:
    many = [
        sample(n, findings=(boxed("cat", n / 100),), notes=("is black throughout",))
        for n in range(60)
    ]
    text = shown(*many, skipped=[(f"b{n}.png", "text") for n in range(12)])
    assert "49.png" in text and "and 10 more samples" in text
    assert "60 images, each of which is black throughout: 0.png" in text
    assert "12 of 72 could not be read:" in text and "and 2 more" in text
    assert "60 samples, median 2 ms a run" in text
    row = next(line for line in text.splitlines() if "0.590" in line)
    assert [word for word in row.split() if word.isdigit()] == ["60", "60"]


def test_boxes_points_words_and_places_of_words_are_printed_and_in_the_document() -> None:
    area = FoundArea(score=0.5, corners=((0.0, 0.0), (3.0, 0.0), (3.0, 1.0), (0.0, 1.0)))
    found = sample(
        findings=(
            boxed("cat", 0.75, ((1.0, 2.0, 0.9),)),
            Finding(output="t", kind="text", text=FoundText(text="[red]Hé", score=0.8)),
            Finding(output="a", kind="text-boxes", areas=(area,)),
        )
    )
    text = shown(found)
    for words in ("0.750", "3.2", "1,2 0.90", "[red]Hé", "3.0,1.0"):
        assert words in text
    document = sample_document(found)
    assert document["milliseconds"] == 2.0
    assert document["boxes"][0]["points"] == ((1.0, 2.0, 0.9),)
    assert document["boxes"][0]["y1"] == 3.25
    assert document["texts"] == [{"output": "t", "text": "[red]Hé", "score": 0.8}]
    assert document["text_boxes"][0]["corners"] == area.corners


def test_the_document_holds_every_value_that_was_kept() -> None:
    document = outputs_document({"y": np.asarray([[1.0, np.nan]])}, [("a", "why")], ["n"], ["d"])
    assert document["outputs"]["y"]["shape"] == [1, 2]
    assert document["outputs"]["y"]["not_finite"] == 1
    assert document["skipped"] == [{"name": "a", "reason": "why"}]
