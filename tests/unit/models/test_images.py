"""Every mode and container: what a value of a file becomes, by closed form and by other readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.model import PreProcessing
from deployx_edge.processing.preprocessing import (
    input_from_image,
    load_image,
    open_class_indices,
    open_image,
    open_pixels,
)
from deployx_edge.processing.steps import MODES, parse_preprocessing, step_text
from tests.unit.models.bundles import spec
from tests.unit.models.image_files import write_pgm, write_png, write_tiff

HEIGHT, WIDTH = 9, 14
GRAY = PreProcessing(input="i", width=WIDTH, height=HEIGHT, colour="gray", mean=(0.0,), std=(1.0,))
RGB = PreProcessing(input="i", width=WIDTH, height=HEIGHT)
Writer = Callable[[Path, np.ndarray], Path]


def values_below(count: int, seed: int = 0) -> np.ndarray:
    """All over the range, the ends among them."""
    values = np.random.default_rng(seed).integers(0, count, (HEIGHT, WIDTH))
    values[0, :2] = 0, count - 1
    return values


def levels_of(path: Path, value_range: tuple[float, float] | None = None) -> np.ndarray:
    return load_image(path, replace(GRAY, range=value_range))[0, 0]


def by_pillow(form: str, **options: object) -> Writer:
    def write(path: Path, values: np.ndarray) -> Path:
        Image.fromarray(values.astype(np.uint16 if values.max() > 255 else np.uint8)).save(
            path, form, **options
        )
        return path

    return write


def big_endian_tiff(path: Path, values: np.ndarray) -> Path:
    tifffile.imwrite(path, values.astype(">u2"), byteorder=">")
    return path


# Writers of gray, with the largest value that each can hold.
GRAYS: dict[str, tuple[int, Writer]] = {
    "png 1": (1, lambda path, values: write_png(path, values, 1)),
    "png 2": (3, lambda path, values: write_png(path, values, 2)),
    "png 4": (15, lambda path, values: write_png(path, values, 4)),
    "png 8": (255, by_pillow("PNG")),
    "png 16": (65535, by_pillow("PNG")),
    "bmp 8": (255, by_pillow("BMP")),
    "gif 8": (255, by_pillow("GIF")),
    "webp 8": (255, by_pillow("WEBP", lossless=True)),
    "jp2 8": (255, by_pillow("JPEG2000", irreversible=False)),
    "jp2 16": (65535, by_pillow("JPEG2000", irreversible=False)),
    "tiff 8": (255, by_pillow("TIFF")),
    "tiff 12": (4095, lambda path, values: write_tiff(path, values, 12)),
    "tiff 16": (65535, by_pillow("TIFF")),
    "tiff 16 deflate": (65535, by_pillow("TIFF", compression="tiff_adobe_deflate")),
    "tiff 16 lzw": (65535, by_pillow("TIFF", compression="tiff_lzw")),
    "tiff 16 big-endian": (65535, big_endian_tiff),
    **{
        f"pgm {largest}": (largest, lambda path, values, m=largest: write_pgm(path, values, m))
        for largest in (1, 7, 200, 255, 256, 1023, 4095, 16383, 65535)
    },
}


@pytest.mark.parametrize("kind", GRAYS)
def test_gray_of_every_depth_lies_between_black_and_white(kind: str, tmp_path: Path) -> None:
    largest, write = GRAYS[kind]
    values = values_below(largest + 1)
    path = write(tmp_path / kind, values)
    # Eight bits are whole numbers; what is spread over them is rounded by Pillow.
    near = 1e-4 if largest >= 255 else 0.5
    assert np.abs(levels_of(path) - values * 255.0 / largest).max() <= near
    three = load_image(path, RGB)[0]
    assert np.abs(three - values * 255.0 / largest).max() <= near


# GIF and WebP hold colours, and JPEG 2000 does not tell its bits.
@pytest.mark.parametrize(
    "kind", [name for name in GRAYS if name not in ("gif 8", "webp 8", "jp2 16")]
)
def test_a_range_is_of_the_files_own_values(kind: str, tmp_path: Path) -> None:
    largest, write = GRAYS[kind]
    values = values_below(largest + 1)
    path = write(tmp_path / kind, values)
    for low, high in ((0, largest), (largest * 0.2, largest * 0.7), (-10, largest / 2)):
        wanted = (np.clip(values, low, high) - low) * 255.0 / (high - low)
        assert np.abs(levels_of(path, (low, high)) - wanted).max() <= 1e-4


@pytest.mark.parametrize("kind", ["png 8", "pgm 255", "bmp 8", "tiff 8", "pgm 200"])
def test_a_range_beyond_eight_bits_is_refused(kind: str, tmp_path: Path) -> None:
    largest, write = GRAYS[kind]
    path = write(tmp_path / "p", values_below(largest + 1))
    with pytest.raises(UsageError, match=rf"values of 0 … {largest} .*range=0/4095 is beyond"):
        levels_of(path, (0.0, 4095.0))


@pytest.mark.parametrize("kind", [name for name in GRAYS if name.startswith(("png 16", "tiff 16"))])
def test_sixteen_bits_are_what_other_readers_see(kind: str, tmp_path: Path) -> None:
    path = GRAYS[kind][1](tmp_path / f"p.{kind[:3]}", values_below(65536, seed=3))
    seen = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert seen.dtype == np.uint16
    assert np.abs(levels_of(path) - seen / 65535 * 255).max() <= 1e-4


# Files whose values may be anything.
OPEN: dict[str, tuple[np.ndarray, Writer]] = {
    "signed 16": (
        values_below(65536) - 32768,
        lambda path, values: write_tiff(path, values, 16, kind=2),
    ),
    "unsigned 32": (values_below(2**31), lambda path, values: write_tiff(path, values, 32)),
    "signed 32": (
        values_below(2**31) - 2**30,
        lambda path, values: write_tiff(path, values, 32, kind=2),
    ),
    "floats": (
        np.random.default_rng(1).normal(20.0, 9.0, (HEIGHT, WIDTH)).astype(np.float32),
        lambda path, values: write_tiff(path, values, 32, kind=3),
    ),
    "floats of 0 … 1": (
        np.random.default_rng(2).random((HEIGHT, WIDTH), dtype=np.float32),
        lambda path, values: write_tiff(path, values, 32, kind=3),
    ),
}


@pytest.mark.parametrize("kind", OPEN)
def test_values_without_a_range_are_refused_and_one_that_is_said_is_taken(
    kind: str, tmp_path: Path
) -> None:
    values, write = OPEN[kind]
    path = write(tmp_path / "p.tif", values)
    with pytest.raises(
        UsageError, match=r"which values of .*\(mode [IF]\) are black and white"
    ) as no:
        levels_of(path)
    assert "range=LOW/HIGH" in no.value.remedy
    low, high = float(values.min()), float(values.max())
    wanted = (values.astype(np.float64) - low) * 255.0 / (high - low)
    assert np.abs(levels_of(path, (low, high)) - wanted).max() <= 1e-4


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits: int, tmp_path: Path) -> None:
    values = values_below(2**bits)
    path = write_tiff(tmp_path / "p.tif", values, bits, white_is_zero=True)
    assert np.abs(levels_of(path) - 255.0 * (1 - values / (2**bits - 1))).max() <= 1e-4


def test_what_is_read_wrongly_or_is_no_number_is_refused(tmp_path: Path) -> None:
    signed = write_tiff(tmp_path / "s.tif", values_below(200) - 100, 8, kind=2)
    with pytest.raises(UsageError, match="signed values of 8 bits"):
        levels_of(signed)
    holes = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    path = write_tiff(tmp_path / "n.tif", holes, 32, kind=3)
    with pytest.raises(UsageError, match="NaN or infinity"):
        levels_of(path, (0.0, 1.0))
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(UsageError, match="of the mode RGB; a range is for"):
        levels_of(tmp_path / "c.png", (0.0, 100.0))
    packed = by_pillow("JPEG2000", irreversible=False)(tmp_path / "p.jp2", values_below(65536))
    with pytest.raises(UsageError, match="knows its own range"):
        levels_of(packed, (0.0, 4095.0))


COLOURS = ("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "P", "PA")
GRAYISH = ("1", "L", "LA", "La")


@pytest.mark.parametrize("mode", [*COLOURS, *GRAYISH])
@pytest.mark.parametrize("colour", ["rgb", "bgr", "gray"])
def test_every_mode_of_eight_bits(mode: str, colour: str) -> None:
    """Opaque patches of few colours, so that each mode can hold them."""
    patches = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8)
    if mode in (*GRAYISH, "LAB"):  # of which colours come by another white point
        patches = np.array([[0] * 3, [255] * 3, [255] * 3, [0] * 3], np.uint8)
    pixels = np.kron(patches.reshape(2, 2, 3), np.ones((4, 4, 1), np.uint8))
    rgb = Image.fromarray(pixels)
    if mode == "LAB":
        from skimage.color import rgb2lab

        lab = rgb2lab(pixels)
        stored = np.stack([lab[..., 0] * 2.55, lab[..., 1], lab[..., 2]], axis=-1)
        image = Image.frombytes(
            "LAB", (8, 8), np.rint(stored).astype(np.int64).astype(np.uint8).tobytes()
        )
    elif mode in ("La", "PA"):
        image = rgb.convert("LA" if mode == "La" else "P").convert(mode)
    elif mode == "RGBa":
        image = rgb.convert("RGBA").convert("RGBa")
    else:
        image = rgb.convert("L").convert(mode) if mode in GRAYISH else rgb.convert(mode)
    channels = 1 if colour == "gray" else 3
    step = PreProcessing(
        input="i", width=8, height=8, colour=colour, mean=(0.0,) * channels, std=(1.0,) * channels
    )
    found = input_from_image(image, step).array[0]
    wanted = {
        "rgb": pixels.transpose(2, 0, 1),
        "bgr": pixels[:, :, ::-1].transpose(2, 0, 1),
        "gray": np.asarray(rgb.convert("L"))[None],
    }[colour]
    assert np.abs(found - wanted.astype(np.float64)).max() <= 1


CONTAINERS = [
    *(("RGB", form, 0) for form in ("PNG", "TIFF", "BMP", "PPM", "JPEG2000")),
    *(("RGBA", form, 0) for form in ("PNG", "TIFF", "BMP", "JPEG2000")),
    *(("P", form, 0) for form in ("PNG", "TIFF", "BMP", "GIF")),
    *(("1", form, 0) for form in ("PNG", "TIFF", "BMP", "PPM", "GIF")),
    *(("L", form, 0) for form in ("PNG", "TIFF", "BMP", "PPM", "GIF", "JPEG2000")),
    *(("LA", form, 0) for form in ("PNG", "TIFF")),
    *((mode, "WEBP", 2) for mode in ("RGB", "RGBA", "L", "LA", "P")),
    *((mode, "JPEG", 8) for mode in ("RGB", "L", "CMYK", "YCbCr")),
    *((mode, "TIFF", 2) for mode in ("CMYK", "YCbCr")),
]


@pytest.mark.parametrize(("mode", "form", "near"), CONTAINERS)
@pytest.mark.parametrize("transparent", [False, True])
def test_modes_in_their_containers(
    mode: str, form: str, near: int, transparent: bool, tmp_path: Path
) -> None:
    """Smooth colours; what is transparent keeps the colour below, as it always did."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    smooth = np.stack([8 * down, 250 - 9 * across, 5 * down + 4 * across], axis=-1).astype(np.uint8)
    image = Image.fromarray(smooth)
    if mode in ("1", "L", "LA", "P"):
        image = image.convert("L")
    image = image.convert(mode)
    options: dict[str, object] = {"JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    options |= {"lossless": True, "exact": True} if form == "WEBP" else {}
    if transparent:
        if mode not in ("RGBA", "LA") and (mode != "P" or form not in ("PNG", "GIF")):
            return
        if mode == "P":
            options["transparency"] = 3
        else:
            image.putalpha(Image.fromarray((7 * down + across).astype(np.uint8)))
    wanted = np.asarray(image.convert("RGB"), dtype=np.float64)
    image.save(tmp_path / "p", form, **options)
    found = load_image(tmp_path / "p", RGB)[0].transpose(1, 2, 0)
    assert np.abs(found - wanted).max() <= near
    gray = load_image(tmp_path / "p", GRAY)[0, 0]
    assert np.abs(gray - wanted @ (0.299, 0.587, 0.114)).max() <= near + 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("colour", ["gray", "rgb", "bgr"])
def test_sixteen_bits_take_the_way_of_eight(
    mode: str, fit: str, colour: str, tmp_path: Path
) -> None:
    smooth = cv2.resize(values_below(256, seed=5).astype(np.uint8), (40, 30))
    Image.fromarray(smooth).save(tmp_path / "8.png")
    Image.fromarray(smooth.astype(np.uint16) * 257).save(tmp_path / "16.png")
    channels = 1 if colour == "gray" else 3
    step = PreProcessing(
        input="i",
        width=17,
        height=11,
        mode=mode,
        fit=fit,
        colour=colour,
        mean=(3.0, 5.0, 7.0)[:channels],
        std=(2.0, 3.0, 4.0)[:channels],
    )
    eight, sixteen = (load_image(tmp_path / f"{bits}.png", step) for bits in (8, 16))
    # Pillow rounds eight bits after each of the two directions.
    assert np.abs(eight - sixteen).max() <= 1.01 / 2.0
    assert mode != "nearest" or np.abs(eight - sixteen).max() <= 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "uint16", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_every_type_of_an_input_takes_sixteen_bits(dtype: str, layout: str, tmp_path: Path) -> None:
    values = values_below(65536, seed=9)
    path = by_pillow("PNG")(tmp_path / "p.png", values)
    step = replace(RGB, dtype=dtype, layout=layout, scale=257.0 if dtype == "uint16" else 1.0)
    found = load_image(path, step)[0]
    assert found.dtype == dtype
    wanted = values * (255.0 / 65535) * step.scale
    if dtype in ("uint8", "uint16", "int8"):
        wanted = np.clip(np.rint(wanted), 0, np.iinfo(dtype).max)
        # Halves may be rounded either way.
        assert np.abs(np.moveaxis(found, -1 if layout == "NHWC" else 0, 0) - wanted).max() <= 1
        assert dtype != "uint16" or np.array_equal(
            found[0] if layout == "NCHW" else found[..., 0], values
        )
    else:
        assert np.moveaxis(found, -1 if layout == "NHWC" else 0, 0)[1] == pytest.approx(
            wanted, rel=1e-3
        )


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_images_are_turned_as_their_exif_says(turn: int, tmp_path: Path) -> None:
    values = values_below(65536)
    exif = Image.Exif()
    exif[0x0112] = turn
    for bits in (8, 16):
        content = (values >> (16 - bits)).astype(f"u{bits // 8}")
        Image.fromarray(content).save(tmp_path / f"{bits}.png", exif=exif)
    eight, sixteen = (np.asarray(open_image(tmp_path / f"{b}.png").image) for b in (8, 16))
    assert eight.shape == ((WIDTH, HEIGHT) if turn > 4 else (HEIGHT, WIDTH))
    assert np.abs(eight - sixteen).max() <= 1.0


def test_what_is_doubtful_is_told(tmp_path: Path) -> None:
    def notes(name: str, value_range: tuple[float, float] | None = None) -> str:
        return " ".join(open_image(tmp_path / name, value_range).notes)

    for largest in (200, 1000, 4095, 16383):
        by_pillow("PNG")(tmp_path / "f.png", np.maximum(values_below(largest + 1), 0) | 0)
        Image.fromarray(values_below(largest + 1).astype(np.uint16)).save(tmp_path / "f.png")
        limit = {200: 255, 1000: 1023}.get(largest, largest)
        assert f"no value above {limit};" in notes("f.png")
        assert f"range=0/{limit}" in notes("f.png")
        assert notes("f.png", (0.0, float(largest))) == ""
        assert "beyond range=0/100" in notes("f.png", (0.0, 100.0))
    Image.fromarray(values_below(65536).astype(np.uint16)).save(tmp_path / "full.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "black.png")
    write_pgm(tmp_path / "own.pgm", values_below(300), 4095)
    assert not any(notes(name) for name in ("full.png", "black.png", "own.pgm"))
    frames = [Image.fromarray(values_below(256, seed).astype(np.uint8)) for seed in range(3)]
    for name in ("m.gif", "m.tiff", "m.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert "holds several, of which the first is taken" in notes(name)
        frames[0].save(tmp_path / f"one{name}")
        assert notes(f"one{name}") == ""
    cv2.imwrite(str(tmp_path / "c.png"), np.full((4, 4, 3), 40000, np.uint16))
    assert "16 bits a colour, of which the upper 8" in notes("c.png")
    assert np.abs(load_image(tmp_path / "c.png", RGB) - 40000 / 257).max() <= 1


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)])
def test_pixels_of_other_numbers(shape: tuple[int, ...]) -> None:
    values = values_below(65536).reshape(shape)
    found = np.asarray(open_pixels(values.astype(np.uint16)).image)
    assert np.abs(found - values.reshape(HEIGHT, WIDTH) / 257).max() <= 1e-4
    for dtype in ("int32", "float32", "float64", "uint32"):
        with pytest.raises(UsageError, match=f"not .* {dtype}") as caught:
            open_pixels(values.astype(dtype))
        assert "range=LOW/HIGH" in caught.value.remedy
        ranged = np.asarray(open_pixels(values.astype(dtype), (0.0, 65535.0)).image)
        assert np.array_equal(ranged, found)
    with pytest.raises(UsageError, match=r"of uint8, not .* uint16"):
        open_pixels(np.zeros((4, 4, 3), np.uint16))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", [False, True])
def test_classes_of_a_mask_are_never_scaled(bits: int, palette: bool, tmp_path: Path) -> None:
    classes = values_below(2**bits)
    path = write_png(tmp_path / "m.png", classes, bits, palette=palette)
    assert np.array_equal(open_class_indices(path), classes)


@pytest.mark.parametrize("mode", ["P", "L", "I;16", "1"])
def test_masks_by_mode(mode: str, tmp_path: Path) -> None:
    classes = values_below(2 if mode == "1" else 21)
    if mode == "1":
        image = Image.fromarray(classes.astype(bool))
    else:
        image = Image.fromarray(classes.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette(list(range(63)))
    assert image.mode == mode
    image.save(tmp_path / "m.png", transparency=0)
    assert np.array_equal(open_class_indices(tmp_path / "m.png"), classes)
    with pytest.raises(UsageError, match="of the mode RGB"):
        image.convert("RGB").save(tmp_path / "c.png")
        open_class_indices(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("range=4095", (0.0, 4095.0)),
        ("range=20000/40000", (20000.0, 40000.0)),
        ("range=-1.5/2e3", (-1.5, 2000.0)),
        ("{range: [273.15, 373]}", (273.15, 373.0)),
        ("{range: 1023}", (0.0, 1023.0)),
        ("std=1", None),
    ],
)
def test_a_range_as_it_is_written(text: str, wanted: tuple[float, float] | None) -> None:
    step = parse_preprocessing(text, [spec()])
    assert step.range == wanted
    assert parse_preprocessing(step_text(step), [spec()]) == step


@pytest.mark.parametrize("text", ["0", "5/5", "9/1", "-4", "a", "1/2/3", "nan", "0/inf", ""])
def test_ranges_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="range="):
        parse_preprocessing(f"range={text}", [spec()])
