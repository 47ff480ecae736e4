"""Data sets of boxes and masks: COCO's, VOC's, arrays of pixels, and what dataset.yaml says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.datasets import Dataset, open_dataset
from deployx_edge.geometry import IGNORED
from deployx_edge.model import PreProcessing
from tests.unit.models.bundles import spec

INPUT = spec()  # image: 1x3x8x6
STEP = PreProcessing(input="image", width=6, height=8, fit="letterbox")
WIDTH, HEIGHT = 20, 10


def opened(path: Path, **options: Any) -> Dataset:
    return open_dataset(path, inputs=[INPUT], preprocessing=[STEP], **options)


def refused(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        list(opened(path, **options))
    assert "\n" not in str(caught.value)


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


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
    picture(tmp_path / "val" / "a.png")
    picture(tmp_path / "val" / "b.png", seed=1)
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
    assert shown.picture is not None
    assert shown.picture.size == (WIDTH, HEIGHT)


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


def test_pictures_of_coco_in_another_folder(coco: Path, tmp_path: Path) -> None:
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


def test_coco_pictures_that_are_broken_or_of_another_size(coco: Path) -> None:
    (coco.parent / "a.png").write_bytes(b"\x89PNG no more")
    data = opened(coco, task="detection")
    assert [sample.name for sample in data] == ["b.png"]
    assert [item.name for item in data.skipped] == ["a.png"]
    assert data.coco is not None
    assert data.coco.images == (3,)
    Image.new("RGB", (HEIGHT, WIDTH)).save(coco.parent / "b.png")
    refused(coco, "None of the 2 samples can be read", task="detection")
    picture(coco.parent / "a.png")
    refused(coco, "b.png has 10x20 pixels, its annotations are for 20x10", strict=True)


def _break(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    data = document()
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("images"), "no data set of COCO's form"),
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
    broken = _break(lambda d: d["annotations"][0].update(segmentation=[[1]]))
    written(coco, broken)
    refused(coco, "outline cannot be read", task="segmentation", strict=True, limit=2)


def voc(folder: Path, names: tuple[str, str] = ("JPEGImages", "SegmentationClass")) -> Path:
    """Two pictures with masks, one palette's and one gray, and one picture without."""
    for index in range(3):
        picture(folder / names[0] / f"{index}.png", seed=index)
    (folder / names[1]).mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:5], mask[5:, :3] = 1, 255
    coloured = Image.new("P", (WIDTH, HEIGHT))
    coloured.putpalette(list(range(256)) * 3)
    coloured.putdata(mask.ravel().tolist())
    coloured.save(folder / names[1] / "0.png")
    Image.fromarray(mask).save(folder / names[1] / "1.png")
    return folder


@pytest.mark.parametrize("names", [("JPEGImages", "SegmentationClass"), ("images", "masks")])
def test_masks_beside_pictures(tmp_path: Path, names: tuple[str, str]) -> None:
    dataset = opened(voc(tmp_path, names), labels=("ground", "thing"), task="segmentation")
    masks = [sample.target.mask for sample in dataset]
    assert (dataset.kind, dataset.truths, len(masks)) == ("masks", {"masks"}, 2)
    assert dataset.notes == ("1 pictures have no mask and were left aside.",)
    for mask in masks:
        assert mask is not None
        assert (mask[:5] == 1).all()
        assert (mask[5:, :3] == IGNORED).all()
        assert (mask[5:, 3:] == 0).all()
    assert len(list(opened(tmp_path, labelled=False))) == 3


def test_masks_with_an_order_of_their_own(tmp_path: Path) -> None:
    voc(tmp_path / "data", ("pictures", "truth"))
    described = tmp_path / "dataset.yaml"
    described.write_text(
        "kind: masks\nimages: data/pictures\nlabels: data/truth\nclasses: [thing, ground]\n"
    )
    dataset = opened(described, labels=("ground", "thing"), task="segmentation")
    mask = next(iter(dataset)).target.mask
    assert mask is not None
    assert (mask[:5] == 0).all()
    assert (mask[5:, 3:] == 1).all()
    described.write_text(
        "kind: masks\nimages: data/pictures\nlabels: data/truth\nclasses: [a, b]\n"
    )
    refused(described, "class 'a' .and 1 more. names no class of the model", labels=("x", "y"))
    described.write_text(
        "kind: masks\nimages: data/pictures\nlabels: data/truth\nclasses: [thing]\n"
    )
    refused(described, "holds the class 1; there are 1", labels=("ground", "thing"), strict=True)


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    voc(tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "SegmentationClass" / "0.png")
    Image.new("L", (WIDTH, 3)).save(tmp_path / "SegmentationClass" / "1.png")
    data = opened(tmp_path, task="segmentation")
    with pytest.raises(UsageError, match="None of the 2 samples"):
        list(data)
    assert [item.reason.split(" ", 3)[3][:17] for item in data.skipped[:1]] == [
        "is of the mode RG"[:17]
    ] or ("mode RGB" in data.skipped[0].reason)
    assert "has 20x3 pixels, its picture 20x10" in data.skipped[1].reason
    (tmp_path / "JPEGImages" / "1.png").unlink()
    refused(tmp_path, "The mask '1.png' has no picture")


def pixels(path: Path, **arrays: np.ndarray) -> Path:
    generator = np.random.default_rng(2)
    drawn = generator.integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    np.savez(path, **{"pixels": drawn, **arrays})  # type: ignore[arg-type]
    return path


BOXES = np.zeros((3, 2, 4), np.float32)
BOXES[:, 0] = [1, 2, 5, 6]
LABELS = np.asarray([[1, -1], [0, -1], [-1, -1]])


def test_pixels_with_boxes_masks_or_labels(tmp_path: Path) -> None:
    boxes = opened(pixels(tmp_path / "b.npz", boxes=BOXES, labels=LABELS), labels=("a", "b"))
    found = [sample.target.boxes for sample in boxes]
    assert boxes.truths == {"boxes"}
    assert [item.classes.tolist() for item in found if item is not None] == [[1], [0], []]
    assert found[0] is not None
    assert found[0].areas.tolist() == [16.0]
    truth = np.ones((3, HEIGHT, WIDTH), np.uint8)
    masks = opened(pixels(tmp_path / "m.npz", mask=truth), labels=("a", "b"))
    assert masks.truths == {"masks"}
    assert all((sample.target.mask == 1).all() for sample in masks)
    labels = opened(pixels(tmp_path / "l.npz", labels=np.asarray([0, 1, 1])), per_class=1)
    assert [sample.target.label for sample in labels] == [0, 1]
    assert len(opened(pixels(tmp_path / "n.npz"), labelled=False)) == 3


def test_pixels_go_through_the_pre_processing(tmp_path: Path) -> None:
    path = pixels(tmp_path / "p.npz", labels=np.asarray([0, 1, 1]))
    with np.load(path) as file:
        Image.fromarray(file["pixels"][1]).save(tmp_path / "p.png")
    (tmp_path / "p.csv").write_text("p.png,1\n")
    (first,) = opened(tmp_path / "p.csv")
    second = list(opened(path))[1]
    assert np.array_equal(first.inputs["image"], second.inputs["image"])
    assert first.geometry == second.geometry


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "Nothing in .* says what is right beside its pixels"),
        ({"boxes": BOXES}, "need labels of 3x2"),
        (
            {"boxes": BOXES[:2], "labels": LABELS},
            "'boxes' in .* is 2x2x4 float32, not numbers",
        ),
        ({"labels": LABELS}, "labels .* are 3x2, without boxes"),
        ({"boxes": BOXES, "labels": LABELS + 1}, "label in .* 2 is no class"),
        ({"boxes": BOXES, "labels": LABELS * 0.5}, "are float64, not whole numbers"),
        ({"mask": np.zeros((3, 2, 2))}, "'mask' in .* is 3x2x2"),
        ({"mask": np.full((3, HEIGHT, WIDTH), 5, np.uint8)}, "5 is no class"),
        ({"mask": np.full((3, HEIGHT, WIDTH), 0.5)}, "something else than classes"),
        ({"pixels": np.zeros((3, 4, 5, 3)), "labels": np.zeros(3, int)}, "of uint8, not"),
    ],
)
def test_pixels_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    refused(pixels(tmp_path / "p.npz", **arrays), words, labels=("a", "b"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "is not a mapping"),
        ("a: [", "cannot be read as YAML"),
        ("kind: coco\npaht: x", "unknown key 'paht'. Did you mean path?"),
        ("kind: imagenet\npath: .", "kind in .* is imagenet, not folder or csv"),
        ("kind: coco", "does not say where the data set is"),
        ("kind: masks\nimages: .", "does not say where the data set is"),
        ("kind: coco\npath: absent.json", "and there is nothing"),
        ("kind: folder\npath: .\nclasses: [a]", "a data set of the kind folder has its own"),
        ("kind: npz\npath: .", "says npz, and .* is none"),
        ("kind: masks\npath: .", "does not say where pictures and masks are"),
    ],
)
def test_descriptions_that_say_what_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dataset.yaml").write_text(text)
    refused(tmp_path / "dataset.yaml", words)
