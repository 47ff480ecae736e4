"""Boxes and masks on boards beside the reference, on the two examples; pages and files."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.results import Evaluation
from deployx_edge.measurement.values import RunOptions
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DIGITS = EXAMPLES / "digits" / "digits_cnn.onnx", EXAMPLES / "digits" / "digits_test.npz"
BOXES = "detection,labels=circle|square|triangle"
MASKS = "segmentation,labels=ground|circle|square|triangle"


def as_onnx(folder: Path, name: str, shape: str) -> Path:
    """The example's network as an ONNX file, exported once for all tests."""
    bundle = make_bundle(
        Path(f"examples.{name}.model:{name}"),
        folder / name,
        BundleOptions(
            runtime="onnxruntime",
            input_shapes=(shape,),
            torch=TorchOptions(checkpoint=EXAMPLES / name / f"{name}.pt"),
        ),
    )
    return bundle.path("onnx")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_onnx(tmp_path_factory.mktemp("models"), "detector", "image:1x3x128x128")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_onnx(tmp_path_factory.mktemp("models"), "segmenter", "image:1x3x96x96")


def options(postprocess: str, **words: object) -> EvaluationOptions:
    chosen = EvaluationOptions(preprocess=("std=255",), postprocess=(postprocess,))
    return replace(chosen, **words)  # type: ignore[arg-type]


def command(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", "evaluate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


PLACES = [
    ("local:", "fp32", 0.0005, None),
    ("virtual:linux-arm64?cpu=cortex-a53", "fp32", 0.0005, 8),
    ("virtual:linux-arm64?cpu=cortex-a76", "fp16", 0.01, 8),
]


def check_close(found: Evaluation, metric: str, least: float, most: float) -> None:
    """The board's figure is the reference's within ``most``; both are at least ``least``."""
    assert found.reference is not None
    reference, figure = found.reference.figures[0], found.places[0].figures[0]
    difference = found.places[0].differences[0]
    assert figure.metric == metric
    assert reference.value >= least
    assert abs(figure.value - reference.value) <= most
    assert figure.interval is not None
    assert figure.interval.low <= figure.value <= figure.interval.high
    assert difference.interval is not None
    assert difference.interval.low <= 1e-9
    assert difference.interval.high >= -1e-9
    assert found.places[0].agreement is not None
    assert found.places[0].agreement >= 0.98


@pytest.mark.parametrize(("device", "precision", "most", "limit"), PLACES)
def test_boxes_on_boards(
    detector: Path, device: str, precision: str, most: float, limit: int | None
) -> None:
    data = EXAMPLES / "detector" / "shapes_test.npz"
    chosen = options(BOXES, run=RunOptions(precision=precision), limit=limit)
    found = evaluate(detector, data, [device], options=chosen)
    check_close(found, "map", 0.85, most)
    entries = found.places[0].per_class
    assert [entry.name for entry in entries] == ["circle", "square", "triangle"]
    if limit is None:
        assert found.samples == 24
        assert sum(entry.count for entry in entries) == 75


@pytest.mark.parametrize(("device", "precision", "most", "limit"), PLACES)
def test_masks_on_boards(
    segmenter: Path, device: str, precision: str, most: float, limit: int | None
) -> None:
    data = EXAMPLES / "segmenter" / "shapes_test.npz"
    chosen = options(MASKS, run=RunOptions(precision=precision), limit=limit)
    found = evaluate(segmenter, data, [device], options=chosen)
    check_close(found, "miou", 0.8, most)
    assert found.places[0].per_class[0].name == "ground"
    pixels = sum(entry.count for entry in found.places[0].confusion)
    assert pixels == found.samples * 96 * 96


def coco_of_shapes(folder: Path) -> Path:
    """The detector's test images as files with a COCO list, on a larger ground."""
    with np.load(EXAMPLES / "detector" / "shapes_test.npz") as file:
        pixels, boxes, labels = file["pixels"], file["boxes"], file["labels"]
    folder.mkdir()
    images, annotations = [], []
    for index in range(6):
        wide = np.full((128, 160, 3), 114, np.uint8)
        wide[:, 16:144] = pixels[index]
        name = f"{index}.png"
        Image.fromarray(wide).resize((320, 256), Image.Resampling.NEAREST).save(folder / name)
        images.append({"id": 100 + index, "file_name": name, "width": 320, "height": 256})
        for box, label in zip(boxes[index], labels[index], strict=True):
            if label >= 0:
                x, y = 2 * (float(box[0]) + 16), 2 * float(box[1])
                sides = [2 * float(box[2] - box[0]), 2 * float(box[3] - box[1])]
                entry = {"id": len(annotations) + 1, "image_id": 100 + index, "iscrowd": 0}
                entry |= {"category_id": 90 - int(label), "area": sides[0] * sides[1]}
                annotations.append(entry | {"bbox": [x, y, *sides]})
    categories = [
        {"id": 90, "name": "circle"},
        {"id": 89, "name": "square"},
        {"id": 88, "name": "triangle"},
    ]
    path = folder / "instances.json"
    path.write_text(
        json.dumps(
            {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        )
    )
    return path


def test_coco_with_a_cut_and_its_results_file(detector: Path, tmp_path: Path) -> None:
    """The middle is cut out; boxes come back onto the wide image, and pycocotools agrees."""
    path = coco_of_shapes(tmp_path / "coco")
    results = tmp_path / "results.json"
    chosen = replace(
        options(BOXES, predictions=results, format="coco-results", metrics=("map", "map50")),
        preprocess=("fit=crop,mode=area,std=255",),
    )
    found = evaluate(detector, path, [], options=chosen)
    figures = found.places[0].figures
    assert figures[1].value > 0.95
    truth = COCO(str(path))
    run = COCOeval(truth, truth.loadRes(str(results)), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert figures[0].value == pytest.approx(run.stats[0], abs=2e-3)
    assert figures[1].value == pytest.approx(run.stats[1], abs=2e-3)


def test_average_precision_does_not_know_the_score_of_the_deployment(
    detector: Path, tmp_path: Path
) -> None:
    """It is told where boxes are counted that the post-processing drops; the others are not."""
    path = coco_of_shapes(tmp_path / "coco")
    figures, boxes = [], []
    for score in ("0.001", "0.8"):
        lines = tmp_path / "boxes.csv"
        chosen = options(f"{BOXES},score={score}", predictions=lines, report=tmp_path / "page")
        found = evaluate(detector, path, [], options=replace(chosen, limit=3))
        figure = found.places[0].figures[0]
        figures.append(figure.value)
        assert figure.least_score == 0.001
        boxes.append(len(lines.read_text().splitlines()))
        page = (tmp_path / "page" / "index.html").read_text()
        for told in (" ".join(found.notes), page):
            assert ("as COCO counts" in told) == (score == "0.8")
    assert figures[0] == figures[1]
    assert boxes[0] > boxes[1]


def test_images_of_which_nobody_says_what_is_right(detector: Path, tmp_path: Path) -> None:
    """As evaluation servers hand them out: predictions, and agreement with the reference."""
    path = coco_of_shapes(tmp_path / "coco")
    listed = json.loads(path.read_text())
    del listed["annotations"]
    path.write_text(json.dumps(listed))
    results = tmp_path / "results.json"
    page = tmp_path / "page"
    chosen = options(BOXES, predictions=results, format="coco-results", limit=3, report=page)
    found = evaluate(detector, path, [], options=chosen)
    (place,) = found.places
    assert place.figures == ()
    assert place.agreement == 1.0
    entries = json.loads(results.read_text())
    assert {entry["category_id"] for entry in entries} <= {88, 89, 90}
    assert {entry["image_id"] for entry in entries} <= set(range(100, 106))
    assert (page / "index.html").read_text().count("<img ") == 3 * 3
    with pytest.raises(UsageError, match="map needs the boxes of every sample"):
        evaluate(detector, path, [], options=options(BOXES, metrics=("map",)))


def test_a_page_with_images_and_files_of_predictions(detector: Path, tmp_path: Path) -> None:
    data = EXAMPLES / "detector" / "shapes_test.npz"
    page, saved, lines = tmp_path / "page", tmp_path / "saved", tmp_path / "found.csv"
    chosen = options(BOXES, limit=5, report=page, outputs=saved, predictions=lines)
    found = evaluate(detector, data, [], options=chosen)
    text = (page / "index.html").read_text()
    assert sorted(file.name for file in page.iterdir()) == ["evaluation.json", "index.html"]
    assert not re.findall(r'(?:src|href)="(?!data:)', text)  # nothing from elsewhere
    assert text.count("<img ") == 5 * 3  # truth, reference and this computer
    assert "88" in text
    document = json.loads((page / "evaluation.json").read_text())
    assert document["places"][0]["figures"][0]["value"] == found.places[0].figures[0].value
    places = sorted(item.name for item in saved.iterdir())
    assert places == ["outputs.json", "reference", "this-computer"]
    with np.load(saved / "this-computer" / "000004.npz") as file:
        assert file["boxes"].shape == (1, 320, 4)
    rows = list(csv.DictReader((saved / "reference" / "samples.csv").read_text().splitlines()))
    assert len(rows) == 5
    boxes = list(csv.DictReader(lines.read_text().splitlines()))
    assert {row["label"] for row in boxes} <= {"circle", "square", "triangle"}
    assert all(0 <= float(row["x0"]) <= float(row["x1"]) <= 128 for row in boxes)
    # A second run replaces what the first one left, and nothing else.
    evaluate(detector, data, [], options=replace(chosen, limit=2))
    assert len(list((saved / "reference").glob("*.npz"))) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(UsageError, match="mine exists and holds something else"):
        evaluate(detector, data, [], options=replace(chosen, report=tmp_path / "mine"))


def test_a_page_of_masks_and_one_of_classes(segmenter: Path, tmp_path: Path) -> None:
    data = EXAMPLES / "segmenter" / "shapes_test.npz"
    evaluate(segmenter, data, [], options=options(MASKS, limit=3, report=tmp_path / "masks"))
    text = (tmp_path / "masks" / "index.html").read_text()
    assert text.count("<img ") == 3 * 3
    assert "<svg" in text
    chosen = EvaluationOptions(limit=40, report=tmp_path / "digits", predictions=tmp_path / "d.csv")
    evaluate(*DIGITS, [], options=chosen)
    text = (tmp_path / "digits" / "index.html").read_text()
    assert text.count("<img ") == 24
    rows = list(csv.DictReader((tmp_path / "d.csv").read_text().splitlines()))
    assert len(rows) == 40
    assert all(0.0 <= float(row["score"]) <= 1.0 for row in rows)


def test_nothing_is_half_written(detector: Path, tmp_path: Path) -> None:
    data = EXAMPLES / "detector" / "shapes_test.npz"
    folder = tmp_path / "saved"
    chosen = options("detection,labels=circle|square|triangle", limit=3, outputs=folder)
    with pytest.raises(UsageError):
        evaluate(detector, data, ["absent"], options=chosen)
    assert list(tmp_path.iterdir()) == []


def test_steps_from_yaml_and_a_described_data_set(detector: Path, tmp_path: Path) -> None:
    (tmp_path / "pre.yaml").write_text("{std: 255, colour: rgb}\n")
    (tmp_path / "post.yaml").write_text(
        "kind: detection\nlabels: [circle, square, triangle]\nscore: 0.05\n"
    )
    data = EXAMPLES / "detector" / "shapes_test.npz"
    (tmp_path / "dataset.yaml").write_text(
        f"kind: npz\npath: {data}\nclasses: [circle, square, triangle]\n"
    )
    done = command(
        *(detector, "--dataset", tmp_path / "dataset.yaml", "--limit", 8, "--json"),
        *("--preprocess", tmp_path / "pre.yaml", "--postprocess", tmp_path / "post.yaml"),
    )
    (place,) = json.loads(done.stdout)["places"]
    assert place["figures"][0]["metric"] == "map"
    assert place["figures"][0]["value"] > 0.85


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--metric", "miou"), 2, "miou is of masks, and nothing says that"),
        (("--metric", "top1"), 2, "top1 needs the class of every sample"),
        (("--postprocess", "detection,labels=a|b"), 2, "names 2 labels; the output 'scores' is"),
        (("--postprocess", BOXES, "--format", "xml"), 2, "--format is coco-results or csv, not"),
        (("--postprocess", BOXES, "--format", "coco-results"), 2, "is for boxes on a data set of"),
        (("--postprocess", BOXES, "--images", "."), 0, ""),
        (("--postprocess", BOXES, "--show"), 2, "--show opens the report"),
        (("--postprocess", BOXES, "--min", "map=0.99"), 13, "map on this computer is"),
        (
            ("--preprocess", "fit=letterbx"),
            2,
            "letterbox or height or multiple, not",
        ),
        (("--postprocess", "absent.yaml"), 2, "absent.yaml cannot be read as YAML"),
    ],
)
def test_bad_words_are_one_line_each(
    detector: Path, tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    data = EXAMPLES / "detector" / "shapes_test.npz"
    given = ("--preprocess", "std=255") if "--preprocess" not in words else ()
    asked = ("--predictions", tmp_path / "p") if "--format" in words else ()
    done = command(detector, "--dataset", data, "--limit", 4, *given, *asked, *words, code=code)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == (code != 0)
    assert says in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []
