"""Masks beside images, arrays of pixels, and what dataset.yaml says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import open_dataset
from deployx_edge.processing.geometry import IGNORED
from tests.integration.models.things import HEIGHT, INPUT, STEP, WIDTH, image, opened, refused
from tests.unit.models.image_files import write_png


def voc(folder: Path, names: tuple[str, str] = ("JPEGImages", "SegmentationClass")) -> Path:
    """Two images with masks, one palette's and one gray, and one image without."""
    for index in range(3):
        image(folder / names[0] / f"{index}.png", seed=index)
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
def test_masks_beside_images(tmp_path: Path, names: tuple[str, str]) -> None:
    dataset = opened(voc(tmp_path, names), labels=("ground", "thing"), task="segmentation")
    masks = [sample.target.mask for sample in dataset]
    assert (dataset.kind, dataset.truths, len(masks)) == ("masks", {"masks"}, 2)
    assert dataset.notes == ("1 images have no mask and were left aside.",)
    for mask in masks:
        assert mask is not None
        assert (mask[:5] == 1).all()
        assert (mask[5:, :3] == IGNORED).all()
        assert (mask[5:, 3:] == 0).all()
    assert len(list(opened(tmp_path, labelled=False))) == 3


def test_masks_with_an_order_of_their_own(tmp_path: Path) -> None:
    voc(tmp_path / "data", ("photos", "truth"))
    described = tmp_path / "dataset.yaml"
    described.write_text(
        "kind: masks\nimages: data/photos\nlabels: data\\truth\nclasses: [thing, ground]\n"
    )
    dataset = opened(described, labels=("ground", "thing"), task="segmentation")
    mask = next(iter(dataset)).target.mask
    assert mask is not None
    assert (mask[:5] == 0).all()
    assert (mask[5:, 3:] == 1).all()
    described.write_text("kind: masks\nimages: data/photos\nlabels: data/truth\nclasses: [a, b]\n")
    refused(described, "class 'a' .and 1 more. names no class of the model", labels=("x", "y"))
    described.write_text("kind: masks\nimages: data/photos\nlabels: data/truth\nclasses: [thing]\n")
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
    assert "has 20x3 pixels, its image 20x10" in data.skipped[1].reason
    (tmp_path / "JPEGImages" / "1.png").unlink()
    refused(tmp_path, "The mask '1.png' has no image")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_masks_of_every_depth_are_taken_as_they_are(tmp_path: Path, bits: int) -> None:
    voc(tmp_path, ("images", "masks"))
    classes = np.random.default_rng(bits).integers(0, min(2**bits, 200), (HEIGHT, WIDTH))
    write_png(tmp_path / "masks" / "0.png", classes, bits)
    dataset = opened(tmp_path, task="segmentation")
    first = next(iter(dataset)).target.mask
    assert first is not None
    assert np.array_equal(first, classes)
    if bits == 16:
        write_png(tmp_path / "masks" / "0.png", classes + 100, bits)
        assert len(list(dataset)) == 1
        assert "a pixel's class is 0 … 254, or 255" in dataset.skipped[0].reason


def test_sixteen_bits_of_gray_in_every_kind_of_data_set(tmp_path: Path) -> None:
    """As files, with masks and as an array the same values, by their own range or one said."""
    values = np.random.default_rng(0).integers(0, 4096, (2, HEIGHT, WIDTH)).astype(np.uint16)
    for index, one in enumerate(values):
        for name in ("a/1", "images", "masks"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(tmp_path / "a" / "1" / f"{index}.png")
        Image.fromarray(one).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(one > 9).save(tmp_path / "masks" / f"{index}.png")
    np.savez(tmp_path / "p.npz", pixels=values, labels=np.array([0, 1]))
    (tmp_path / "l.csv").write_text("a/1/0.png,0\na\\1\\1.png,0\n")
    step = replace(STEP, width=WIDTH, height=HEIGHT, fit="stretch")
    model_input = replace(INPUT, shape=(1, 3, HEIGHT, WIDTH))
    for path in (tmp_path / "a", tmp_path, tmp_path / "p.npz", tmp_path / "l.csv"):
        for value_range, white, told in (
            (None, 65535, "no value above 4095"),
            ((0.0, 4095.0), 4095, ""),
        ):
            dataset = open_dataset(
                path,
                inputs=[model_input],
                preprocessing=[replace(step, range=value_range)],
                task="segmentation" if path == tmp_path else "classification",
            )
            for sample, one in zip(dataset, values, strict=True):
                found = sample.inputs["image"][0]
                assert np.abs(found - one * (255.0 / white)).max() <= 1e-4
            shown = dataset.read_again(1).image
            assert shown is not None
            assert np.abs(np.asarray(shown.convert("L")) - values[1] * (255.0 / white)).max() <= 1
            counted = [note for note in dataset.notes if note.startswith("2 of 2 images")]
            assert len(counted) == bool(told)
            assert told in " ".join(counted)


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
        ({"boxes": BOXES, "labels": LABELS + 1}, "label in .* 2 is not a class"),
        ({"boxes": BOXES, "labels": LABELS * 0.5}, "are float64, not whole numbers"),
        ({"mask": np.zeros((3, 2, 2))}, "'mask' in .* is 3x2x2"),
        ({"mask": np.full((3, HEIGHT, WIDTH), 5, np.uint8)}, "5 is not a class"),
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
        ("kind: masks\npath: .", "does not say where images and masks are"),
    ],
)
def test_descriptions_that_say_what_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dataset.yaml").write_text(text)
    refused(tmp_path / "dataset.yaml", words)
