"""A folder of images with what was found drawn on them, one for each image or video given."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError
from deployx_edge.scratch import beside
from deployx_edge.workflows.measure.given import Given, GivenFile
from deployx_edge.workflows.measure.videos import VideoWriter

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

# An earlier run's file may be replaced; it carries this name where such files name their maker.
_MAKER = "deployx-edge"
_JPEG = (".jpg", ".jpeg")
_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class _BegunVideo:
    """A video that is being drawn: what of, where it is made and will be, and its writer.

    ``folder`` removes the folder that it is made in.
    """

    file: Path
    place: Path
    made: Path
    writer: VideoWriter
    folder: ExitStack


class ShowFolder:
    """Where drawn images go. Nothing that was there before is replaced but what a run drew."""

    def __init__(self, folder: Path, files: Sequence[GivenFile]) -> None:
        """Make the folder; UsageError where it cannot be written, or is none."""
        self.folder = folder
        self.written: list[Path] = []
        self._given = {file.path.resolve() for file in files}
        self._video: _BegunVideo | None = None
        if any(file.listed and file.path.parent.resolve() == folder.resolve() for file in files):
            raise UsageError(
                f"--show-dir {folder} is the folder of the images themselves; what is drawn would "
                "be taken for images the next time.",
                remedy="Name another folder.",
            )
        if folder.exists() and not folder.is_dir():
            raise UsageError(
                f"--show-dir {folder} is a file, not a folder.", remedy="Name another folder."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with beside(folder / "image") as probe:
                probe.touch()
        except OSError as error:
            raise UsageError(
                f"--show-dir {folder} cannot be written: {error.strerror or error}.",
                remedy="Name another folder.",
            ) from error

    def add(self, given: Given, drawn: PilImage) -> Path:
        """The file of the next drawn image, or of the video whose next frame it is."""
        try:
            if given.frame is None:
                self.close()
                return self._write_image(given.file, drawn)
            return self._add_frame(given, drawn)
        except OSError as error:
            raise UsageError(
                f"--show-dir {self.folder} cannot be written: {error.strerror or error}."
            ) from error

    def close(self, *, whole: bool = True) -> None:
        """A video that was begun gets its name, or goes where the run failed before its end."""
        if self._video is None:
            return
        video, self._video = self._video, None
        with video.folder:
            video.writer.close()
            if whole:
                video.made.replace(video.place)
                self.written.append(video.place)

    def _write_image(self, file: Path, drawn: PilImage) -> Path:
        jpeg = file.suffix.lower() in _JPEG
        place = self._free(file.stem, file.suffix.lower() if jpeg else ".png")
        with beside(place) as temporary:
            if jpeg:
                drawn.save(temporary, "JPEG", quality=_QUALITY, comment=_MAKER.encode())
            else:
                from PIL.PngImagePlugin import PngInfo

                words = PngInfo()
                words.add_text("Software", _MAKER)
                drawn.save(temporary, "PNG", pnginfo=words)
            temporary.replace(place)
        self.written.append(place)
        return place

    def _add_frame(self, given: Given, drawn: PilImage) -> Path:
        if self._video is None or self._video.file != given.file:
            self.close()
            place = self._free(given.file.stem, ".mp4")
            with ExitStack() as stack:
                # OpenCV takes the kind of file from its ending, which a hidden name has not.
                folder = stack.enter_context(beside(place))
                folder.mkdir()
                made = folder / "video.mp4"
                writer = VideoWriter(made, drawn.size, given.rate or 1.0)
                self._video = _BegunVideo(
                    file=given.file, place=place, made=made, writer=writer, folder=stack.pop_all()
                )
        self._video.writer.add(drawn)
        return self._video.place

    def _free(self, stem: str, suffix: str) -> Path:
        """A name that is neither an input's, nor taken in this run, nor anybody else's file."""
        number = 1
        while True:
            place = self.folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
            if place not in self.written and place.resolve() not in self._given and _ours(place):
                return place
            number += 1


def _ours(place: Path) -> bool:
    """Whether the name is free, or an earlier run drew what has it."""
    if not place.exists():
        return not place.is_symlink()
    if place.suffix == ".mp4":
        return False
    from PIL import Image

    try:
        with Image.open(place) as image:
            said = image.info.get("Software") or image.info.get("comment")
    except OSError:
        return False
    return said in (_MAKER, _MAKER.encode())
