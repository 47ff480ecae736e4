"""Videos, read and written frame by frame by OpenCV's wheel, where that is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.files import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp")
_USUAL_RATE = 25.0  # frames a second, where a file does not say it
_CODEC = "mp4v"  # OpenCV's wheels write it without any program beside them


def is_video(path: Path) -> bool:
    """Whether the name is a video's."""
    return path.suffix.lower() in SUFFIXES


def check_opencv(path: Path) -> None:
    """MissingToolError where the wheel that reads videos is not installed, or does not load."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is told here
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        missing = find_spec("cv2") is None
        raise MissingToolError(
            f"{path} is a video, and OpenCV's wheel, which reads videos, "
            + ("is not installed." if missing else f"cannot be loaded: {error}."),
            remedy="Install it: pip install opencv-python-headless; or give images.",
        ) from error


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame: its number from 0, and of how many frames a second those that are read are."""

    number: int
    image: PilImage
    rate: float


class VideoReader:
    """Every so many frames of a video, one in memory at a time."""

    def __init__(self, path: Path, every: int) -> None:
        """Open it; UsageError where it cannot be read as a video."""
        check_opencv(path)
        import cv2

        try:
            check_regular(path)
        except FileNotFoundError as error:
            raise UsageError(f"The video {path} does not exist.") from error
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
        self._path, self._every = path, every
        self._capture: Any = cv2.VideoCapture(str(path))
        self.said = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._rate = (rate if 0.0 < rate < 1e4 else _USUAL_RATE) / every
        self.read = 0

    def __iter__(self) -> Iterator[Frame]:
        """The frames; UsageError where not one can be decoded."""
        import cv2
        from PIL import Image

        try:
            while self._capture.grab():
                number, self.read = self.read, self.read + 1
                if number % self._every:
                    continue
                there, pixels = self._capture.retrieve()
                if not there:
                    continue
                image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                yield Frame(number=number, image=image, rate=self._rate)
        finally:
            self._capture.release()
        if not self.read:
            raise UsageError(
                f"{self._path} cannot be read as a video: OpenCV finds no frame in it.",
                remedy="Play it to see whether it is whole, or give its frames as images.",
            )

    @property
    def lost(self) -> int:
        """How many frames the file says that it has beyond those that could be read."""
        return max(0, self.said - self.read)


class VideoWriter:
    """An MP4 file of images of one size."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        """Begin it; UsageError where OpenCV cannot write it."""
        import cv2

        # The codec takes even sides only.
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        code = cv2.VideoWriter.fourcc(*_CODEC)
        self._writer: Any = cv2.VideoWriter(str(path), code, rate, self._size)
        if not self._writer.isOpened():
            raise UsageError(
                f"OpenCV cannot write a video of {self._size[0]}x{self._size[1]} pixels.",
                remedy="Leave --show-dir out, or give the frames as images.",
            )

    def add(self, image: PilImage) -> None:
        """The next frame."""
        import cv2
        import numpy as np

        whole = image.convert("RGB")
        if whole.size != self._size:
            # Black beyond the right and the lower edge.
            whole = whole.crop((0, 0, *self._size))
        self._writer.write(cv2.cvtColor(np.asarray(whole), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """The file is whole after it."""
        self._writer.release()
