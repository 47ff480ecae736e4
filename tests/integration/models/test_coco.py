"""Data sets in COCO's form: boxes, outlines as masks, and files that say what cannot be."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.rle import draw_outline
from deployx_edge.processing.geometry import IGNORED
from tests.integration.models.things import HEIGHT, WIDTH, image, opened, refused


def document() -> dict[str, Any]:
    left = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    left[:, :5] = 1
    code = coco_masks.encode(left)
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 3, "file_name": "b.png", "width": WIDTH, "height": HEIGHT},
        ],
        "categories": [{"id": 44, "name": "dog"}, {"id": 2, "name": "Cat"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 44,
                "bbox": [2, 3, 4, 5],
                "iscrowd": 0,
                "area": 18.5,
                "segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]],
            },
            {
                "id": 2,
                "image_id": 7,
                "category_id": 2,
                "bbox": [10, 0, 10, 10],
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": [100, 100]},
                "area": 100,
                "iscrowd": 1,
            },
            {
                "id": 3,
                "image_id": 3,
                "category_id": 2,
                "bbox": [0, 0, 5, 10],
                "iscrowd": 0,
                "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
                "area": 50,
            },
        ],
    }


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    image(tmp_path / "val" / "a.png")
    image(tmp_path / "val" / "b.png", seed=1)
    return written(tmp_path / "val" / "instances.json", document())


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_boxes_of_coco(coco: Path) -> None:
    dataset = opened(coco, labels=("cat", "dog"), task="detection")
    first, second = dataset
    assert (dataset.kind, dataset.classes, dataset.truths) == ("coco", ("cat", "dog"), {"boxes"})
    assert first.target.boxes is not None
    assert second.target.boxes is not None
    assert first.target.boxes.boxes.tolist() == [[2, 3, 6, 8], [10, 0, 20, 10]]
    assert first.target.boxes.classes.tolist() == [1, 0]
    assert first.target.boxes.crowd.tolist() == [False, True]
    assert first.target.boxes.areas.tolist() == [18.5, 100.0]
    assert second.target.boxes.classes.tolist() == [0]
    assert first.geometry is not None
    assert (first.geometry.width, first.geometry.height) == (WIDTH, HEIGHT)
    assert dataset.coco is not None
    assert (dataset.coco.images, dataset.coco.categories) == ((7, 3), (2, 44))
    assert first.inputs["image"].shape == (1, 3, 8, 6)
    shown = dataset.read_again(1)
    assert shown.image is not None
    assert shown.image.size == (WIDTH, HEIGHT)


def test_categories_that_nothing_is_of_keep_their_numbers(coco: Path) -> None:
    """A model may find what was not annotated; what it does not know is left aside."""
    data = document()
    data["categories"] += [{"id": 60, "name": "bird"}, {"id": 61, "name": "wolf"}]
    dataset = opened(written(coco, data), labels=("bird", "cat", "dog"), task="detection")
    assert dataset.coco is not None
    assert dataset.coco.categories == (60, 2, 44)
    del data["annotations"]
    dataset = opened(written(coco, data), labels=("bird", "cat", "dog"), task="detection")
    assert dataset.truths == frozenset()
    assert dataset.coco is not None
    assert dataset.coco.categories == (60, 2, 44)


def test_without_names_categories_go_by_their_numbers(coco: Path) -> None:
    dataset = opened(coco, task="detection")
    assert dataset.classes == ("Cat", "dog")
    assert "'Cat' is 0, 'dog' is 1" in dataset.notes[0]


def test_outlines_of_coco_become_masks(coco: Path) -> None:
    """A polygon, a run-length code and a compressed one; the crowd does not count."""
    dataset = opened(coco, labels=("ground", "cat", "dog"), task="segmentation")
    first, second = (sample.target.mask for sample in dataset)
    assert first is not None
    assert second is not None
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[:, 10:] = IGNORED
    wanted[3:8, 2:6] = 2
    assert np.array_equal(first, wanted)
    assert np.array_equal(second, np.where(np.arange(WIDTH) < 5, 1, 0) * np.ones((HEIGHT, 1)))


def test_images_of_coco_in_another_folder(coco: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    moved = coco.rename(tmp_path / "annotations" / coco.name)
    refused(
        moved, "lists 'a.png' .and 1 more., and there is no such file.*--images", task="detection"
    )
    assert len(list(opened(moved, images=tmp_path / "val", task="detection"))) == 2
    described = tmp_path / "dataset.yaml"
    described.write_text("kind: coco\npath: annotations/instances.json\nimages: val\n")
    assert len(list(opened(described, task="detection"))) == 2
    assert len(list(opened(described, labelled=False))) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_coco_files_as_windows_writes_them(coco: Path, encoding: str) -> None:
    document = json.loads(coco.read_text())
    for item in document["images"]:
        item["file_name"] = f"sub\\{item['file_name']}"
    (coco.parent / "sub").mkdir()
    for file in coco.parent.glob("*.png"):
        file.rename(coco.parent / "sub" / file.name)
    coco.write_text(json.dumps(document), encoding=encoding)
    assert len(list(opened(coco, task="detection", strict=True))) == len(document["images"])


def test_coco_images_that_are_broken_or_of_another_size(coco: Path) -> None:
    (coco.parent / "a.png").write_bytes(b"\x89PNG no more")
    data = opened(coco, task="detection")
    assert [sample.name for sample in data] == ["b.png"]
    assert [item.name for item in data.skipped] == ["a.png"]
    assert data.coco is not None
    assert data.coco.images == (3,)
    Image.new("RGB", (HEIGHT, WIDTH)).save(coco.parent / "b.png")
    refused(coco, "None of the 2 samples can be read", task="detection")
    image(coco.parent / "a.png")
    refused(coco, "b.png has 10x20 pixels, its annotations are for 20x10", strict=True)


def _break(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data = document()
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("images"), "not a data set of COCO's form"),
        (lambda d: d.update(images=[]), "lists no images"),
        (lambda d: d.update(images=3), "'images' .* is not a list of objects"),
        (lambda d: d["images"][0].update(id="x"), "no whole number as its id"),
        (lambda d: d["images"][0].update(id=3), "has the same id twice"),
        (lambda d: d["images"][0].pop("file_name"), "Entry 7 of 'images' .* has no file_name"),
        (lambda d: d["annotations"][1].update(image_id=9), "annotation 1 .* is of image 9, which"),
        (lambda d: d["annotations"][1].update(category_id=9), "is of category 9, which is not"),
        (
            lambda d: d["annotations"][0].update(bbox=[1, 2, 3]),
            "bbox of annotation 0 .* is not x, y",
        ),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4]), "is not x, y, width, height"),
        (lambda d: d["annotations"][0].pop("category_id"), "has no category_id"),
        (lambda d: d["categories"][0].update(name="wolf"), "'wolf' names no class of the model"),
    ],
)
def test_coco_files_that_say_what_cannot_be(coco: Path, change: Any, words: str) -> None:
    refused(written(coco, _break(change)), words, task="detection", labels=("cat", "dog"))


def test_json_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    refused(tmp_path / "x.json", "cannot be read as JSON")


def test_an_outline_that_is_none(coco: Path) -> None:
    for outline, words in (
        ([[1]], "polygon is not a list of x and y of three corners"),
        ([[1, 1, 2, 2, 3, 3, 4]], "polygon is not a list of x and y"),
        ([[1, 1, 2, 2, 3e9, 3]], "polygon lies far beyond its image"),
        ("none", "neither a list of polygons nor a run-length code"),
        ({"size": [5, 5], "counts": [25]}, "size is not that of its image, 10 by 20"),
        ({"size": [HEIGHT, WIDTH], "counts": [25]}, "counts of an outline make 25 pixels of 200"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, 201]}, "are not whole numbers from 0 on"),
        ({"size": [HEIGHT, WIDTH], "counts": "!"}, "are not compressed run-length code"),
    ):
        data = document()
        data["annotations"][0]["segmentation"] = outline
        refused(written(coco, data), words, task="segmentation", strict=True)


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_pycocotools(seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = (generator.random((HEIGHT, WIDTH)) < generator.random()).astype(np.uint8)
    code = coco_masks.encode(np.asfortranarray(mask))
    outline = {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}
    found = draw_outline(outline, (0, 0, 0, 0), (WIDTH, HEIGHT))
    assert np.array_equal(found, mask.astype(bool))


STRANGE = (
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    "",
    "a.png",
    "x" * 5000,
    [],
    {},
    [[]],
    "\ud800",
)


def _replace_somewhere(data: Any, generator: random.Random) -> Any:
    """The document with one value, at any depth, made into something else or taken out."""
    holder = data
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return data
        key = generator.choice(keys)
        inner = holder[key]
        if isinstance(inner, dict | list) and inner and generator.random() < 0.8:
            holder = inner
            continue
        if generator.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(generator.choice(STRANGE))
        return data


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_altered_coco_files_end_in_usage_errors_only(coco: Path, task: str) -> None:
    generator = random.Random(f"20261121 {task}")
    refusals = 0
    for _ in range(250):
        data = _replace_somewhere(document(), generator)
        coco.write_text(json.dumps(data))
        try:
            list(opened(coco, task=task, labels=("cat", "dog"), strict=True))
        except UsageError as error:
            assert "\n" not in str(error)
            refusals += 1
    assert refusals > 50
