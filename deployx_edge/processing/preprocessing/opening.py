"""Image files and arrays of pixels as images whose values lie in 0 … 255.

Pillow's modes of eight bits a value are left as they are. In the others (I;16, I, F) a value may
be anything, and Pillow's own conversion cuts it to 0 … 255, which makes black and white of an
image. So they become F with black at 0.0 and white at 255.0, between two values that are known:
by the file, or by what the user says with ``range``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deployx_edge.errors import UsageError
from deployx_edge.files import check_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    Range = tuple[float, float]

T = TypeVar("T")

# The names of the files that are images, where a folder is searched for them.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"),
    *(".pgm", ".ppm", ".pbm", ".pnm", ".gif", ".jp2"),
)
_LARGEST_IMAGE = 100_000_000  # pixels
_RANGE_REMEDY = (
    "Say which values are black and white: --preprocess range=LOW/HIGH; or give an .npz file with "
    "arrays as the model takes them."
)
# The largest values of fewer bits that are often stored in sixteen.
_FEWER_BITS = (255, 1023, 4095, 16383)
# Tags of TIFF 6.0, sections 8 and 19.
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# What Pillow multiplies gray of 2 and 4 bits by.
_SPREAD = {"L;2": 85, "L;4": 17}
_ONE_CHANNEL = ("1", "L", "LA", "La")


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """An image with values of 0 … 255, in one of Pillow's modes of eight bits a value or in F.

    ``notes`` say what was left aside or is doubtful, each as what follows "this image".
    """

    image: PilImage
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Depth:
    """What the values that Pillow gives of one channel mean.

    ``white`` is the one that the largest of the file's own becomes, None where nothing says how
    large it can be; times ``factor`` they are the file's own, None where nobody knows. The other
    way round where ``white_is_zero``.
    """

    white: float | None
    factor: float | None = 1.0
    white_is_zero: bool = False


def open_image(path: Path, value_range: Range | None = None) -> OpenedImage:
    """The image as it is to be seen: turned as its EXIF says, decoded, values in 0 … 255.

    Of one channel, ``value_range`` says which of the file's values are black and white; without it
    they are the least and the largest that the file can hold. Raises UsageError where nothing
    says those, and for a file that cannot be read.
    """
    from PIL import ImageOps

    def opened(file: Any) -> OpenedImage:
        depth, notes = _depth_of(file), _notes_of(file)
        turned = ImageOps.exif_transpose(file)
        turned.load()
        image, more = _in_levels(f"The image {path}", turned, depth, value_range)
        return OpenedImage(image=image, notes=(*notes, *more))

    return _with_file(path, opened)


def open_class_indices(path: Path) -> NDArray[Any]:
    """The values of a file of one channel as they are stored, (height, width): never scaled.

    Palette indices, or gray values. Raises UsageError for colours, and for a file that cannot be
    read.
    """
    import numpy as np
    from PIL import ImageOps

    def opened(file: Any) -> NDArray[Any]:
        spread = _SPREAD.get(_raw_mode(file), 1)
        turned = ImageOps.exif_transpose(file)
        if turned.mode not in ("1", "L", "P", "I") and not turned.mode.startswith("I;16"):
            raise UsageError(
                f"The mask {path} is of the mode {turned.mode}; its pixels have to be palette "
                "indices or gray values that are classes."
            )
        stored: NDArray[Any] = np.asarray(turned).astype(np.int64) // spread
        return stored

    return _with_file(path, opened)


def image_of_pixels(pixels: NDArray[Any]) -> PilImage:
    """An image of an array of uint8: (H, W), (H, W, 1) gray or (H, W, 3) RGB."""
    from PIL import Image

    colours = pixels.shape[2:]
    if pixels.dtype != "uint8" or pixels.ndim < 2 or colours not in ((), (1,), (3,)):
        raise UsageError(
            f"Pixels are height x width x 1 or 3 of uint8, not {pixels.shape} {pixels.dtype}.",
            remedy="Gray may be of uint16 too, or of any numbers with --preprocess range=LOW/HIGH.",
        )
    return Image.fromarray(pixels[:, :, 0] if colours == (1,) else pixels)


def open_pixels(pixels: NDArray[Any], value_range: Range | None = None) -> OpenedImage:
    """An image of an array as ``image_of_pixels`` takes it, or of gray of other numbers.

    Gray is (H, W) or (H, W, 1). Numbers other than uint8 and uint16 need ``value_range``. Raises
    UsageError for anything else.
    """
    import numpy as np

    gray = pixels.ndim >= 2 and pixels.shape[2:] in ((), (1,))
    known = pixels.dtype == "uint16" or (value_range is not None and pixels.dtype.kind in "iuf")
    if pixels.dtype == "uint8" or not gray or not known:
        image = image_of_pixels(pixels)
        found, notes = _in_levels("The image of uint8", image, _EIGHT_BITS, value_range)
        return OpenedImage(image=found, notes=notes)
    values = pixels.reshape(pixels.shape[:2]).astype(np.float64)
    depth = _Depth(white=65535 if pixels.dtype == "uint16" else None)
    found, notes = _scaled(f"The image of {pixels.dtype}", values, depth, value_range)
    return OpenedImage(image=found, notes=notes)


_EIGHT_BITS = _Depth(white=255)


def is_deep(image: PilImage) -> bool:
    """Whether a value of it may be beyond 0 … 255."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _with_file(path: Path, use: Callable[[Any], T]) -> T:
    """What ``use`` makes of the opened file; all that goes wrong is a UsageError."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable files
            check_regular(path)
            with Image.open(path) as file:
                if file.width * file.height > _LARGEST_IMAGE:
                    raise UsageError(f"{path} has more than {_LARGEST_IMAGE} pixels.")
                return use(file)
    except FileNotFoundError as error:
        raise UsageError(f"The image {path} does not exist.") from error
    except UsageError:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever their formats led them to
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read as an image: {reason}.") from error


def _raw_mode(file: Any) -> str:
    """How the values lie in the file, in Pillow's words; empty where its plug-in does not say."""
    tiles = getattr(file, "tile", None) or [("", (), 0, "")]
    words = tiles[0][3]
    first = words[0] if isinstance(words, tuple) and words else words
    return first if isinstance(first, str) else ""


def _depth_of(file: Any) -> _Depth:
    """What a file says of its values; asked before they are decoded."""
    if file.format == "PPM":
        white = 65535 if file.mode == "I" else 255
        words = file.tile[0][3]  # Pillow spreads what is below a largest value of the file's own
        own = words[1] if isinstance(words, tuple) and len(words) > 1 else white
        return _Depth(white=None if file.mode == "F" else white, factor=own / white)
    if file.format == "JPEG2000" and is_deep(file):
        return _Depth(white=65535, factor=None)  # of how many bits it made sixteen is not told
    tags = getattr(file, "tag_v2", {})
    if file.mode == "L" and tags.get(_SAMPLE_FORMAT) in (_SIGNED, (_SIGNED,)):
        raise UsageError(f"{file.filename} holds signed values of 8 bits, which are not read.")
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format == "PNG"):
        largest = 4095 if _raw_mode(file).startswith("I;12") else 65535
        return _Depth(white=largest, white_is_zero=_inverted(tags))
    if is_deep(file):
        return _Depth(white=None, white_is_zero=_inverted(tags))
    spread = 255 if file.mode == "1" else _SPREAD.get(_raw_mode(file), 1)
    return _Depth(white=255, factor=1 / spread)


def _inverted(tags: Any) -> bool:
    # Pillow turns such values round itself where they have eight bits.
    return bool(tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _notes_of(file: Any) -> tuple[str, ...]:
    notes = []
    # Cameras put a preview beside the image, in MPO.
    if file.format != "MPO" and getattr(file, "is_animated", False):
        notes.append("holds several, of which the first is taken")
    words = getattr(file, "tile", None) or [("", (), 0, "")]
    args = words[0][3]
    largest = args[1] if file.format == "PPM" and isinstance(args, tuple) and len(args) > 1 else 0
    if not is_deep(file) and (";16" in _raw_mode(file) or largest > 255):
        notes.append("has 16 bits a colour, of which the upper 8 are read")
    return tuple(notes)


def _in_levels(
    what: str, image: PilImage, depth: _Depth, value_range: Range | None
) -> tuple[PilImage, tuple[str, ...]]:
    """The image with values of 0 … 255, and notes."""
    import numpy as np

    if is_deep(image):
        values = np.asarray(image).astype(np.float64)
        return _scaled(f"{what} (mode {image.mode})", values, depth, value_range)
    if value_range in (None, (0.0, 255.0)):
        return image, ()
    assert value_range is not None and depth.white is not None and depth.factor is not None
    if image.mode not in _ONE_CHANNEL:
        raise UsageError(
            f"{what} is of the mode {image.mode}; a range is for images of one channel.",
            remedy="Leave range out of --preprocess, or take other images.",
        )
    largest = round(depth.white * depth.factor)
    if value_range[1] > largest:
        raise UsageError(
            f"{what} holds values of 0 … {largest} (mode {image.mode}), and "
            f"{_told(value_range)} is beyond them.",
            remedy="Leave range out of --preprocess, or take images of the depth that it says.",
        )
    gray = plain(image, "L")
    return _scaled(what, np.asarray(gray).astype(np.float64), depth, value_range)


def _scaled(
    what: str, values: NDArray[Any], depth: _Depth, value_range: Range | None
) -> tuple[PilImage, tuple[str, ...]]:
    """An image of mode F: black is 0.0, white 255.0; and notes."""
    import numpy as np
    from PIL import Image

    if not np.isfinite(values).all():
        raise UsageError(f"{what} holds NaN or infinity.")
    if depth.factor not in (None, 1.0):
        values = np.rint(values * depth.factor)
    if value_range is None:
        if depth.white is None:
            raise UsageError(
                f"Nothing says which values of {what[0].lower()}{what[1:]} are black and white.",
                remedy=_RANGE_REMEDY,
            )
        low, high, notes = 0.0, depth.white * (depth.factor or 1.0), _doubts(values, depth)
    elif depth.factor is None:
        raise UsageError(
            f"{what} knows its own range; {_told(value_range)} cannot be applied to it.",
            remedy="Leave range out of --preprocess, or save it as PNG or TIFF.",
        )
    else:
        low, high = value_range
        beyond = bool(((values < low) | (values > high)).any())
        notes = (f"holds values beyond {_told(value_range)}, taken as its ends",) if beyond else ()
    levels = (np.clip(values, low, high) - low) * (255.0 / (high - low))
    if depth.white_is_zero:
        levels = 255.0 - levels
    return Image.fromarray(levels.astype(np.float32)), notes


def _doubts(values: NDArray[Any], depth: _Depth) -> tuple[str, ...]:
    """Whether sixteen bits look like fewer, which would make an image nearly black."""
    largest = float(values.max(initial=0.0))
    if depth.white != 65535 or depth.factor != 1.0 or not 0.0 < largest <= _FEWER_BITS[-1]:
        return ()
    fewer = next(limit for limit in _FEWER_BITS if largest <= limit)
    return (
        f"has 16 bits and no value above {fewer}; if it holds fewer bits, say so: "
        f"--preprocess range=0/{fewer}",
    )


def _told(value_range: Range) -> str:
    return f"range={value_range[0]:g}/{value_range[1]:g}"


def plain(image: PilImage, mode: str) -> PilImage:
    """The image as L, RGB or, where its values are not of eight bits, F.

    Raises ValueError for modes that cannot become it.
    """
    if is_deep(image):
        if image.mode != "F":
            raise ValueError(f"values of the mode {image.mode} have no known range")
        return image
    # Pillow has no direct way from these two.
    if image.mode == "La":
        image = image.convert("LA")
    elif image.mode == "LAB":
        image = image.convert("RGB")
    return image.convert(mode)
