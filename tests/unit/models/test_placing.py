"""Ways of an image into an input that families of models have: sizes, fills, conventions."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.model import AxisRange, PreProcessing, TensorSpec
from deployx_edge.processing.preprocessing import geometry_of, input_from_image
from deployx_edge.processing.preprocessing.placing import placement_of
from deployx_edge.processing.steps import parse_preprocessing, step_text
from tests.unit.models.bundles import spec

TORCH = "mode=torch-bilinear"
OPEN = replace(
    spec("x", (1, 3, 736, 736), runtime_name="x"),
    ranges=tuple(AxisRange(axis=axis, minimum=32, opt=736, maximum=2048) for axis in (2, 3)),
)
OPEN_640 = replace(
    spec("x", (1, 3, 640, 640), runtime_name="x"),
    ranges=tuple(AxisRange(axis=axis, minimum=32, opt=640, maximum=640) for axis in (2, 3)),
)
SIDES = st.integers(1, 1500)


def step_of(text: str, given: TensorSpec) -> PreProcessing:
    step = parse_preprocessing(text, [given])
    assert parse_preprocessing(step_text(step), [given]) == step
    return step


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth image (height, width, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def array_of(pixels: np.ndarray, step: PreProcessing) -> np.ndarray:
    return input_from_image(Image.fromarray(pixels), step).array


@pytest.mark.parametrize(("width", "height"), [(200, 48), (90, 33), (641, 50), (7, 300), (320, 48)])
def test_a_line_keeps_its_proportions_at_the_height(width: int, height: int) -> None:
    step = step_of(
        "fit=height,mode=opencv-bilinear,scale=1/255,mean=0.5,std=0.5,pad=0",
        spec("x", (1, 3, 48, 320), runtime_name="x"),
    )
    pixels = photo(width, height)
    across = min(320, int(np.ceil(48 * width / height)))
    resized = cv2.resize(pixels, (across, 48)).astype(np.float32).transpose(2, 0, 1)
    wanted = np.zeros((1, 3, 48, 320), np.float32)
    wanted[0, :, :, :across] = (resized / 255 - 0.5) / 0.5
    found = array_of(pixels, step)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert (found[..., across:] == 0).all()
    assert geometry_of(step, width, height).scale_x == pytest.approx(across / width)


@given(SIDES, SIDES, st.sampled_from(["min", "max"]), st.sampled_from([32, 736, 960]))
def test_multiples_of_a_limited_side(width: int, height: int, limit: str, side: int) -> None:
    step = step_of(f"fit=multiple,side={side},limit={limit}", OPEN)
    ratio = 1.0
    if limit == "min" and min(width, height) < side:
        ratio = side / min(width, height)
    if limit == "max" and max(width, height) > side:
        ratio = side / max(width, height)
    wanted = [max(32, round(int(length * ratio) / 32) * 32) for length in (width, height)]
    geometry = geometry_of(step, width, height)
    assert [geometry.input_width, geometry.input_height] == wanted
    assert geometry.scale_x * width == pytest.approx(wanted[0])
    assert (geometry.offset_x, geometry.offset_y) == (0, 0)


@pytest.mark.parametrize(("width", "height"), [(200, 48), (31, 90), (640, 500), (3, 2), (1, 1)])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_floats_are_resized_as_torch_does(width: int, height: int, order: str) -> None:
    """OpenCV's of floats takes the same two pixels by row and column, and averages no others."""
    given = spec("x", (1, 3, 96, 160), runtime_name="x")
    pixels = photo(width, height)
    wanted = cv2.resize(pixels.astype(np.float32), (160, 96)).transpose(2, 0, 1)
    found = array_of(pixels, step_of(f"{TORCH},colour={order}", given))[0]
    assert found == pytest.approx(wanted if order == "rgb" else wanted[::-1], abs=2e-3)
    boxed = array_of(pixels, step_of(f"{TORCH},fit=letterbox,fill=7", given))[0]
    if (width, height) == (640, 500):
        inner = cv2.resize(pixels.astype(np.float32), (123, 96)).transpose(2, 0, 1)
        assert boxed[:, :, 18:141] == pytest.approx(inner, abs=2e-3)
        assert (boxed[:, :, :18] == 7).all()
        assert (boxed[:, :, 141:] == 7).all()


def test_an_input_of_the_image_s_size() -> None:
    step = step_of("fit=multiple,side=64,mode=opencv-bilinear", OPEN)
    pixels = photo(100, 90)
    found = array_of(pixels, step)
    assert found.shape == (1, 3, 96, 96)
    assert found[0].transpose(1, 2, 0) == pytest.approx(cv2.resize(pixels, (96, 96)), abs=1)


def test_a_size_that_cannot_change_is_named() -> None:
    fixed = spec("x", (1, 3, 736, 736), runtime_name="x")
    with pytest.raises(UsageError, match="several sizes; the input 'x' is 1x3x736x736") as told:
        parse_preprocessing("fit=multiple,side=736", [fixed])
    assert "--input x:1x3x{32..736..2048}" in (told.value.remedy or "")
    with pytest.raises(UsageError, match="needs the length of a side"):
        parse_preprocessing("fit=multiple", [OPEN])
    with pytest.raises(UsageError, match=r"fit=letterbox with multiple=32 .* several sizes; "):
        parse_preprocessing("fit=letterbox,multiple=32", [fixed])
    with pytest.raises(UsageError, match="multiple in --preprocess needs fit=multiple, not stretc"):
        parse_preprocessing("multiple=32", [OPEN])


@given(SIDES, SIDES, st.sampled_from([32, 64]))
def test_a_letterbox_may_end_at_the_next_multiples(width: int, height: int, stride: int) -> None:
    """Ultralytics' LetterBox with auto=True: what is left over of whole strides, half on a side."""
    step = step_of(f"fit=letterbox,multiple={stride},resize=640x640", OPEN_640)
    ratio = min(640 / height, 640 / width)
    sides = [max(round(width * ratio), 1), max(round(height * ratio), 1)]
    over = [(640 - side) % stride / 2 for side in sides]
    placed = placement_of(step, width, height)
    assert list(placed.sides) == sides
    assert list(placed.corner) == [round(part - 0.1) for part in over]
    assert list(placed.size) == [side + 2 * part for side, part in zip(sides, over, strict=True)]
    geometry = geometry_of(step, width, height)
    assert (geometry.input_width, geometry.input_height) == placed.size


@given(SIDES, SIDES)
def test_sides_of_a_letterbox_rounded_down(width: int, height: int) -> None:
    step = step_of(
        "fit=letterbox,place=corner,rounding=down", spec("x", (1, 3, 416, 640), runtime_name="x")
    )
    ratio = min(640 / width, 416 / height)
    placed = placement_of(step, width, height)
    assert placed.sides == (max(1, int(width * ratio)), max(1, int(height * ratio)))
    # YOLOX divides its boxes by the ratio that it rounded the sides from.
    geometry = geometry_of(step, width, height)
    assert (geometry.scale_x, geometry.scale_y) == (ratio, ratio)


@given(SIDES, SIDES)
def test_multiples_may_be_the_next_ones_up(width: int, height: int) -> None:
    """As CenterFace's own code takes an image in its own size."""
    step = step_of("fit=multiple,side=65535,limit=max,multiple=32,rounding=up", OPEN_640)
    placed = placement_of(step, width, height)
    assert placed.sides == placed.size == (-(-width // 32) * 32, -(-height // 32) * 32)
    with pytest.raises(UsageError, match="is nearest or down for fit=letterbox, not up"):
        parse_preprocessing("fit=letterbox,rounding=up", [OPEN_640])
    with pytest.raises(UsageError, match="is nearest or up for fit=multiple, not down"):
        parse_preprocessing("fit=multiple,side=640,rounding=down", [OPEN_640])


def test_what_fills_may_be_a_value_of_the_input() -> None:
    given = spec("x", (1, 3, 20, 40), runtime_name="x")
    step = step_of("fit=letterbox,std=2,mean=1/2/3,pad=-0.25", given)
    found = array_of(np.full((10, 10, 3), 200, np.uint8), step)
    assert (found[:, :, :, :10] == -0.25).all()
    assert (found[:, :, :, 30:] == -0.25).all()
    assert found[0, :, 10, 20].tolist() == [99.5, 99.0, 98.5]
    with pytest.raises(UsageError, match="pad in --preprocess needs fit=letterbox, not stretch"):
        parse_preprocessing("pad=0", [given])
    whole = replace(given, dtype="uint8")
    with pytest.raises(UsageError, match=r"pad=1 in --preprocess is for inputs of floats; 'x' is"):
        parse_preprocessing("fit=letterbox,pad=1", [whole])


def test_each_library_s_convention_says_the_same() -> None:
    given = spec("x", (1, 3, 8, 8), runtime_name="x")
    pixels = photo(8, 8)
    torch = array_of(
        pixels,
        step_of("scale=1/255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225", given),
    )
    caffe = step_of("mean=123.675/116.28/103.53,std=58.395/57.12/57.375", given)
    ncnn = step_of(f"mean=123.675/116.28/103.53,norm={1 / 58.395}/{1 / 57.12}/{1 / 57.375}", given)
    assert array_of(pixels, caffe) == pytest.approx(torch, abs=1e-5)
    assert array_of(pixels, ncnn) == pytest.approx(torch, abs=1e-5)
    opencv = cv2.dnn.blobFromImage(pixels, 1 / 127.5, (8, 8), (127.5, 127.5, 127.5))
    assert array_of(pixels, step_of("mean=127.5,norm=0.00784313725490196", given)) == pytest.approx(
        opencv, abs=1e-5
    )
    tensorflow = pixels.transpose(2, 0, 1)[None] / 127.5 - 1
    assert array_of(pixels, step_of("scale=1/127.5,mean=1", given)) == pytest.approx(
        tensorflow, abs=1e-5
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("std=1,norm=1", "takes std or norm, not both"),
        ("norm=0", "A norm of 0"),
        ("scale=1/0", "scale=1/0 divides by zero"),
        ("scale=1/2/3", "must hold one number"),
        ("fit=height,place=corner", "place in --preprocess needs fit=letterbox, not height"),
        ("side=3", "side in --preprocess needs fit=multiple, not stretch"),
    ],
)
def test_words_that_do_not_go_together(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_preprocessing(text, [spec("x", (1, 3, 8, 8), runtime_name="x")])
