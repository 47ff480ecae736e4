from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from deployx_edge.errors import UsageError
from deployx_edge.model import PreProcessing
from deployx_edge.processing.geometry import IGNORED
from deployx_edge.processing.preprocessing import (
    geometry_of,
    image_of_pixels,
    input_from_image,
    load_image,
)
from deployx_edge.processing.steps import parse_preprocessing, step_text, step_texts
from tests.unit.models.bundles import spec

RGB = spec()  # 1x3x8x6
GRAY = spec("digit", (1, 1, 8, 8), runtime_name="in1")


def image(path: Path, pixels: np.ndarray) -> Path:
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
        ("resize=6", "'6' is not a size"),
        ("resize=0x8", "not a size from 1x1"),
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


def test_inputs_that_are_no_images() -> None:
    with pytest.raises(UsageError, match="an image needs channels"):
        parse_preprocessing("std=1", [spec(shape=(1, 10))])
    with pytest.raises(UsageError, match="1 or 3 channels"):
        parse_preprocessing("std=1", [spec(shape=(1, 5, 8, 8))])
    with pytest.raises(UsageError, match="Say which tensor is meant"):
        parse_preprocessing("std=1", [RGB, GRAY])


def test_values_by_closed_form(tmp_path: Path) -> None:
    pixels = np.zeros((8, 6, 3))
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 10, 20, 30
    path = image(tmp_path / "p.png", pixels)
    step = PreProcessing(
        input="image", width=6, height=8, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 3.0)
    )
    array = load_image(path, step)
    assert (array.shape, array.dtype) == ((1, 3, 8, 6), np.dtype(np.float32))
    assert [array[0, c, 0, 0] for c in range(3)] == [9.0, 9.0, 9.0]
    blue_first = PreProcessing(input="image", width=6, height=8, colour="bgr")
    assert list(load_image(path, blue_first)[0, :, 4, 4]) == [30.0, 20.0, 10.0]
    last = PreProcessing(input="image", width=6, height=8, layout="NHWC", scale=0.1)
    assert load_image(path, last)[0, 7, 5] == pytest.approx([1.0, 2.0, 3.0])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_every_value_of_a_pixel_by_the_formula(layout: str, dtype: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([levels, levels.T, 255 - levels], axis=-1)
    mean, std = (123.7, 116.3, 103.5), (58.4, 5.71, 0.574)
    step = PreProcessing(
        input="i", width=16, height=16, scale=1.7, mean=mean, std=std, layout=layout, dtype=dtype
    )
    wanted = (pixels.astype(np.float64) * 1.7 - np.array(mean)) / np.array(std)
    if dtype in ("uint8", "int8"):
        limits = np.iinfo(dtype)
        wanted = np.clip(np.rint(wanted), limits.min, limits.max)
    if layout == "NCHW":
        wanted = wanted.transpose(2, 0, 1)
    found = input_from_image(Image.fromarray(pixels), step).array
    assert np.array_equal(found, wanted[None].astype(dtype))


def test_rows_and_columns_are_not_swapped(tmp_path: Path) -> None:
    pixels = np.add.outer(np.arange(8) * 10, np.arange(6))
    step = PreProcessing(input="i", width=6, height=8, colour="gray", mean=(0.0,), std=(1.0,))
    array = load_image(image(tmp_path / "p.png", pixels), step)
    assert np.array_equal(array[0, 0], pixels)


def test_area_undoes_enlargement(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, 256, (8, 8))
    path = image(tmp_path / "p.png", np.kron(small, np.ones((16, 16))))
    step = PreProcessing(
        input="i", width=8, height=8, mode="area", colour="gray", mean=(0.0,), std=(1.0,)
    )
    assert np.array_equal(load_image(path, step)[0, 0], small)


def test_crop_keeps_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((8, 24))
    wide[:, 8:16] = 200
    step = PreProcessing(
        input="i", width=8, height=8, fit="crop", colour="gray", mean=(0.0,), std=(1.0,)
    )
    path = image(tmp_path / "p.png", wide)
    assert np.all(load_image(path, step) == 200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_every_kind_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("p.tif" if mode in ("CMYK", "I;16") else "p.png")
    Image.new(mode, (10, 10)).save(path)
    step = PreProcessing(input="i", width=6, height=8)
    assert load_image(path, step).shape == (1, 3, 8, 6)


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    step = PreProcessing(input="i", width=6, height=8)
    with pytest.raises(UsageError, match="does not exist"):
        load_image(tmp_path / "absent.png", step)
    with pytest.raises(UsageError, match="cannot be read as an image"):
        load_image(tmp_path, step)
    text = tmp_path / "t.png"
    text.write_text("no image")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        load_image(text, step)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_corrupt_images_end_in_usage_errors_only(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{kind}"
    pixels = np.random.default_rng(2).integers(0, 256, (20, 20, 3))
    whole = image(path, pixels).read_bytes()
    step = PreProcessing(input="i", width=6, height=8)
    generator = random.Random(f"20261121 {kind}")
    for _ in range(60):
        content = bytearray(whole[: generator.randint(0, len(whole))])
        for _ in range(generator.randint(0, 6)):
            if content:
                content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(bytes(content))
        try:
            assert load_image(path, step).shape == (1, 3, 8, 6)
        except UsageError as error:
            assert "\n" not in str(error)


def step(**words: object) -> PreProcessing:
    given = {"input": "i", "width": 6, "height": 8, **words}
    return PreProcessing(**given)  # type: ignore[arg-type]


def bare(pixels: np.ndarray, **words: object) -> np.ndarray:
    """Height x width x colours as the pre-processing leaves them, without mean and std."""
    given = step(layout="NHWC", **words)
    return input_from_image(image_of_pixels(pixels), given).array[0]


def noise(width: int, height: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["nearest", "area", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(200, 160), (50, 40), (97, 31)])
def test_values_are_pillows(mode: str, size: tuple[int, int]) -> None:
    method = Image.Resampling["BOX" if mode == "area" else mode.upper()]
    pixels = noise(100, 80)
    wanted = np.asarray(Image.fromarray(pixels).resize(size, method))
    assert np.array_equal(bare(pixels, mode=mode, width=size[0], height=size[1]), wanted)
    cut = ImageOps.fit(Image.fromarray(pixels), size, method)
    found = bare(pixels, mode=mode, fit="crop", width=size[0], height=size[1])
    assert np.array_equal(found, np.asarray(cut))


@pytest.mark.parametrize(
    ("mode", "theirs", "size", "most"),
    [
        ("nearest", "INTER_NEAREST_EXACT", (224, 224), 0),
        ("nearest", "INTER_NEAREST_EXACT", (33, 21), 0),
        ("opencv-bilinear", "INTER_LINEAR", (224, 224), 0),
        ("opencv-bilinear", "INTER_LINEAR", (33, 21), 0),
        ("opencv-bilinear", "INTER_LINEAR", (40, 50), 0),
        ("opencv-bilinear", "INTER_LINEAR", (7, 120), 0),
        ("opencv-bilinear", "INTER_LINEAR", (1, 1), 0),
        ("bilinear", "INTER_LINEAR", (224, 224), 1),
        ("area", "INTER_AREA", (50, 40), 1),
        ("area", "INTER_AREA", (25, 20), 1),
    ],
)
def test_values_are_opencvs_but_for_rounding(
    mode: str, theirs: str, size: tuple[int, int], most: int
) -> None:
    """Where docs/bundle.md promises it, on noise, the worst that there is."""
    pixels = noise(100, 80)
    wanted = cv2.resize(pixels, size, interpolation=getattr(cv2, theirs)).astype(int)
    found = bare(pixels, mode=mode, width=size[0], height=size[1])
    assert np.abs(found - wanted).max() <= most


def test_opencv_does_not_average_where_it_shrinks() -> None:
    pixels = noise(100, 80)
    wanted = cv2.resize(pixels, (50, 40), interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(bare(pixels, width=50, height=40) - wanted).max() > 50


def test_gray_is_opencvs_and_pillows() -> None:
    pixels = noise(100, 80)
    found = bare(pixels, width=100, height=80, colour="gray", mean=(0.0,), std=(1.0,))[..., 0]
    assert np.array_equal(found, np.asarray(Image.fromarray(pixels).convert("L")))
    assert np.abs(found - cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(int)).max() <= 1


def test_the_letterbox_keeps_proportions() -> None:
    pixels = np.full((20, 40, 3), 200, dtype=np.uint8)
    found = bare(pixels, fit="letterbox", width=64, height=64, fill=7)
    assert np.all(found[16:48] == 200)
    assert np.all(found[:16] == 7)
    assert np.all(found[48:] == 7)
    corner = bare(pixels, fit="letterbox", width=64, height=64, place="corner")
    assert np.all(corner[:32] == 200)
    assert np.all(corner[32:] == 114)
    thin = bare(np.zeros((1, 500, 3), np.uint8), fit="letterbox", width=32, height=32)
    assert (thin == 0).any(axis=(1, 2)).sum() == 1


@pytest.mark.parametrize("size", [(640, 427), (333, 500), (64, 64), (97, 30), (31, 200)])
def test_the_letterbox_is_that_of_detectors_in_opencv(size: tuple[int, int]) -> None:
    """As YOLO's training code does it: INTER_LINEAR, copyMakeBorder, halves rounded down."""
    pixels, side = noise(*size), 96
    ratio = min(side / size[0], side / size[1])
    wide, high = round(size[0] * ratio), round(size[1] * ratio)
    across, down = (side - wide) / 2, (side - high) / 2
    resized = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_LINEAR)
    edges = (
        *(round(down - 0.1), round(down + 0.1)),
        *(round(across - 0.1), round(across + 0.1)),
    )
    wanted = cv2.copyMakeBorder(resized, *edges, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    found = bare(pixels, fit="letterbox", mode="opencv-bilinear", width=side, height=side)
    assert np.abs(found - wanted.astype(int)).max() <= 1


def test_short_is_torchvisions_resize_and_centre_crop() -> None:
    """Resize(256) and CenterCrop(224): the longer side rounds down, the middle to even."""
    pixels = noise(500, 375)
    resized = Image.fromarray(pixels).resize((341, 256), Image.Resampling.BILINEAR)
    left, top = round((341 - 224) / 2), round((256 - 224) / 2)
    wanted = np.asarray(resized)[top : top + 224, left : left + 224]
    found = bare(pixels, fit="crop", short=256, width=224, height=224)
    assert np.array_equal(found, wanted)


SIDES = st.integers(1, 300)


@given(
    width=SIDES,
    height=SIDES,
    wide=st.integers(1, 200),
    high=st.integers(1, 200),
    fit=st.sampled_from(["stretch", "crop", "letterbox", "short"]),
    place=st.sampled_from(["centre", "corner"]),
)
def test_points_find_the_way_back(
    width: int, height: int, wide: int, high: int, fit: str, place: str
) -> None:
    words = {"fit": "crop", "short": max(wide, high)} if fit == "short" else {"fit": fit}
    found = geometry_of(step(width=wide, height=high, place=place, **words), width, height)
    box = np.asarray([[0.25 * width, 0.1 * height, 0.5 * width, 0.9 * height]])

    def to_input(boxes: np.ndarray) -> np.ndarray:
        scales = [found.scale_x, found.scale_y] * 2
        return boxes * scales + [found.offset_x, found.offset_y] * 2

    assert found.boxes_to_image(to_input(box)) == pytest.approx(box)
    whole = to_input(np.asarray([[0.0, 0.0, width, height]]))[0]
    inside = np.asarray([0.0, 0.0, wide, high])
    low, high_ = whole[:2] - inside[:2], whole[2:] - inside[2:]
    if fit in ("stretch",):
        assert whole == pytest.approx(inside)
    elif fit == "letterbox":  # the image lies in the input, to a pixel's rounding
        assert np.all(low >= 0)
        assert np.all(high_ <= 1e-9)
    else:  # the input lies in the image
        assert np.all(low <= 1e-9)
        assert np.all(high_ >= -1e-9)
    if fit != "short":  # an image's width becomes whole pixels only
        return
    assert (low % 1 == 0).all()


def test_a_map_of_classes_comes_back_onto_the_image() -> None:
    """What is drawn into an image is where it was after letterbox, a coarser map, and back."""
    classes = np.zeros((60, 90), dtype=np.uint8)
    classes[20:40, 30:60] = 1
    given = step(width=48, height=48, fit="letterbox", mode="nearest", layout="NHWC")
    loaded = input_from_image(image_of_pixels(classes), given)
    coarse = loaded.array[0, ::2, ::2, 0].astype(np.uint8)
    back = loaded.geometry.classes_to_image(coarse)
    assert back.shape == classes.shape
    assert (back == classes).mean() > 0.95
    cut = geometry_of(step(width=48, height=48, fit="crop"), 90, 60)
    unseen = cut.classes_to_image(np.zeros((48, 48), np.uint8))
    assert (unseen[:, :15] == IGNORED).all()
    assert (unseen[:, 15:75] == 0).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fit=letterbox,short=9", "short=9 in --preprocess needs fit=crop, not letterbox"),
        ("short=7", "short=7 in --preprocess is less than the 6x8"),
        ("fill=3", "fill in --preprocess needs fit=letterbox, not stretch"),
        ("fit=letterbox,fill=256", "fill=256 is not a whole number 0 to 255"),
        ("fit=letterbox,place=left", "place is centre or corner, not 'left'"),
        ("colour=rgb,lettrbox", "does not know 'lettrbox'"),
        ("colur=rgb", "does not know 'colur'. Did you mean colour?"),
        (
            "{colour: rgb, fit: [1]}",
            "fit is stretch or crop or letterbox or height or multiple, not '1'",
        ),
        ("{a", "cannot be read as YAML"),
        ("absent.yaml", "absent.yaml cannot be read as YAML"),
    ],
)
def test_what_does_not_fit_together(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_preprocessing(text, [RGB])


@pytest.mark.parametrize(
    "text",
    [
        "resize=6x8,mode=opencv-bilinear,colour=bgr,scale=0.5,mean=1/2/3.5,std=4,layout=NCHW",
        "fit=letterbox,fill=7,place=corner",
        "short=9,std=1e-3",
    ],
)
def test_a_step_written_is_the_step_read(text: str) -> None:
    found = parse_preprocessing(text, [RGB])
    assert parse_preprocessing(step_text(found), [RGB]) == found
    assert step_texts([found, text]) == (step_text(found), text)


def test_whole_numbers_are_rounded_and_cut(tmp_path: Path) -> None:
    pixels = np.full((8, 6, 3), 201)
    path = image(tmp_path / "p.png", pixels)
    raw = parse_preprocessing("std=1", [replace(RGB, dtype="uint8")])
    assert load_image(path, raw).dtype == np.uint8
    assert (load_image(path, raw) == 201).all()
    assert (load_image(path, step(dtype="int8", std=(2.0, 2.0, 2.0))) == 100).all()
    assert (load_image(path, step(dtype="int8")) == 127).all()
    with pytest.raises(UsageError, match="is bool, which no image becomes"):
        parse_preprocessing("std=1", [replace(RGB, dtype="bool")])


def test_a_yaml_file_says_the_same_as_a_text(tmp_path: Path) -> None:
    path = tmp_path / "pre.yaml"
    path.write_text("fit: letterbox\nresize: [6, 8]\nmean: [1, 2, 3]\nstd: 5.5e+1\nfill: 0\n")
    wanted = parse_preprocessing("fit=letterbox,resize=6x8,mean=1/2/3,std=55,fill=0", [RGB])
    assert parse_preprocessing(str(path), [RGB]) == wanted
    both = tmp_path / "both.yml"
    both.write_text("- {input: image, std: 2}\n- {input: digit, std: 3}\n")
    texts = step_texts(["std=1", str(both)])
    assert len(texts) == 3
    assert [parse_preprocessing(text, [RGB, GRAY]).std[0] for text in texts[1:]] == [2, 3]
    with pytest.raises(UsageError, match="holds 2 mappings; one is wanted here"):
        parse_preprocessing(str(both), [RGB, GRAY])
    path.write_text("letterbox")
    with pytest.raises(UsageError, match="is not a mapping, nor a list of mappings"):
        parse_preprocessing(str(path), [RGB])
