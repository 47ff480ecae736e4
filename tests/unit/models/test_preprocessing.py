from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.model import PostProcessing, PreProcessing
from deployx_edge.preprocessing import (
    classify,
    load_picture,
    parse_postprocessing,
    parse_preprocessing,
)
from tests.unit.models.bundles import spec

RGB = spec()  # 1x3x8x6
GRAY = spec("digit", (1, 1, 8, 8), blob="in1")


def picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_a_whole_text() -> None:
    text = "resize=6x8,mode=bicubic,fit=crop,colour=bgr,scale=0.5,mean=1/2/3.5,std=4,layout=NCHW"
    assert parse_preprocessing(text, [RGB]) == PreProcessing(
        input="image",
        width=6,
        height=8,
        mode="bicubic",
        fit="crop",
        colour="bgr",
        scale=0.5,
        mean=(1.0, 2.0, 3.5),
        std=(4.0, 4.0, 4.0),
    )


def test_the_size_and_colour_are_those_of_the_input() -> None:
    assert parse_preprocessing("std=255", [GRAY]) == PreProcessing(
        input="digit", width=8, height=8, colour="gray", mean=(0.0,), std=(255.0,)
    )
    last = spec(shape=(1, 8, 6, 3))
    assert parse_preprocessing("std=255", [last]).layout == "NHWC"
    assert parse_preprocessing("input=digit,std=1", [RGB, GRAY]).input == "digit"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a list of different KEY=VALUE"),
        ("std=1,std=2", "not a list of different KEY=VALUE"),
        ("size=6x8", "does not know 'size'"),
        ("resize=6", "'6' is no size"),
        ("resize=0x8", "no size from 1x1"),
        ("resize=6x9", "makes 3 x 9 x 6"),
        ("colour=gray", "makes 1 x 8 x 6"),
        ("colour=cmyk", "is rgb or bgr or gray"),
        ("mode=best", "is nearest or area"),
        ("mean=1/2", "must hold one number, or 3"),
        ("mean=nan", "must hold one number"),
        ("mean=x", "must hold one number"),
        ("std=0", "would divide by zero"),
        ("std=1/0/1", "would divide by zero"),
        ("input=other", "There is no tensor 'other'"),
        ("layout=HWC", "is NCHW or NHWC"),
    ],
)
def test_texts_that_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_preprocessing(text, [RGB])


def test_inputs_that_are_no_pictures() -> None:
    with pytest.raises(UsageError, match="a picture needs channels"):
        parse_preprocessing("std=1", [spec(shape=(1, 10))])
    with pytest.raises(UsageError, match="1 or 3 channels"):
        parse_preprocessing("std=1", [spec(shape=(1, 5, 8, 8))])
    with pytest.raises(UsageError, match="Say which tensor is meant"):
        parse_preprocessing("std=1", [RGB, GRAY])


def test_values_by_closed_form(tmp_path: Path) -> None:
    pixels = np.zeros((8, 6, 3))
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 10, 20, 30
    path = picture(tmp_path / "p.png", pixels)
    step = PreProcessing(
        input="image", width=6, height=8, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 3.0)
    )
    array = load_picture(path, step)
    assert (array.shape, array.dtype) == ((1, 3, 8, 6), np.dtype(np.float32))
    assert [array[0, c, 0, 0] for c in range(3)] == [9.0, 9.0, 9.0]
    blue_first = PreProcessing(input="image", width=6, height=8, colour="bgr")
    assert list(load_picture(path, blue_first)[0, :, 4, 4]) == [30.0, 20.0, 10.0]
    last = PreProcessing(input="image", width=6, height=8, layout="NHWC", scale=0.1)
    assert load_picture(path, last)[0, 7, 5] == pytest.approx([1.0, 2.0, 3.0])


def test_rows_and_columns_are_not_swapped(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(8) * 10, np.arange(6))
    step = PreProcessing(input="i", width=6, height=8, colour="gray", mean=(0.0,), std=(1.0,))
    array = load_picture(picture(tmp_path / "p.png", pixels), step)
    assert np.array_equal(array[0, 0], pixels)


def test_area_undoes_enlargement(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, 256, (8, 8))
    path = picture(tmp_path / "p.png", np.kron(small, np.ones((16, 16))))
    step = PreProcessing(
        input="i", width=8, height=8, mode="area", colour="gray", mean=(0.0,), std=(1.0,)
    )
    assert np.array_equal(load_picture(path, step)[0, 0], small)


def test_crop_keeps_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((8, 24))
    wide[:, 8:16] = 200
    step = PreProcessing(
        input="i", width=8, height=8, fit="crop", colour="gray", mean=(0.0,), std=(1.0,)
    )
    path = picture(tmp_path / "p.png", wide)
    assert np.all(load_picture(path, step) == 200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_kind_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("p.tif" if mode in ("CMYK", "I;16") else "p.png")
    Image.new(mode, (10, 10)).save(path)
    step = PreProcessing(input="i", width=6, height=8)
    assert load_picture(path, step).shape == (1, 3, 8, 6)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    step = PreProcessing(input="i", width=6, height=8)
    with pytest.raises(UsageError, match="does not exist"):
        load_picture(tmp_path / "absent.png", step)
    with pytest.raises(UsageError, match="cannot be read as a picture"):
        load_picture(tmp_path, step)
    text = tmp_path / "t.png"
    text.write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as a picture"):
        load_picture(text, step)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_corrupt_pictures_end_in_usage_errors_only(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{kind}"
    pixels = np.random.default_rng(2).integers(0, 256, (20, 20, 3))
    whole = picture(path, pixels).read_bytes()
    step = PreProcessing(input="i", width=6, height=8)
    generator = random.Random(f"20261121 {kind}")
    for _ in range(60):
        content = bytearray(whole[: generator.randint(0, len(whole))])
        for _ in range(generator.randint(0, 6)):
            if content:
                content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(bytes(content))
        try:
            assert load_picture(path, step).shape == (1, 3, 8, 6)
        except UsageError as error:
            assert "\n" not in str(error)


def test_post_processing_texts() -> None:
    scores = spec("scores", (1, 3), blob="out0")
    assert parse_postprocessing("softmax,labels=a|b|c", [scores]) == PostProcessing(
        output="scores", softmax=True, labels=("a", "b", "c")
    )
    with pytest.raises(UsageError, match="names 2 labels; the output 'scores' is 1x3"):
        parse_postprocessing("labels=a|b", [scores])
    with pytest.raises(UsageError, match="does not know 'top'"):
        parse_postprocessing("top=3", [scores])


def test_scores_become_classes() -> None:
    step = PostProcessing(output="s", softmax=True, labels=("a", "b", "c"))
    best = classify(step, np.log(np.asarray([[0.2, 0.7, 0.1]])), count=2)
    assert [(c.index, c.label) for c in best] == [(1, "b"), (0, "a")]
    assert [c.score for c in best] == pytest.approx([0.7, 0.2])
    assert classify(PostProcessing(output="s"), np.asarray([1.0, 5.0]))[0].label == "1"
    assert classify(step, np.asarray([1e4, 0.0, 0.0]))[0].score == pytest.approx(1.0)
