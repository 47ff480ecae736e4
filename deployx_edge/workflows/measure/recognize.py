"""What a model finds in images, videos and arrays, told sample by sample."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.values import Skipped
from deployx_edge.model import NamedShape, PostProcessing, PreProcessing
from deployx_edge.processing.findings import (
    Finding,
    OutputSummary,
    SampleFound,
    explained,
    find,
    summarise_output,
)
from deployx_edge.processing.geometry import Geometry
from deployx_edge.progress import Progress, Runs, silent
from deployx_edge.workflows.convert.samples import Arrays, check_fixed, read_arrays
from deployx_edge.workflows.measure.answers import RunAnswer
from deployx_edge.workflows.measure.drawn import ShowFolder
from deployx_edge.workflows.measure.given import (
    Given,
    GivenFiles,
    ImageReader,
    sort_files,
)
from deployx_edge.workflows.measure.opened import open_run
from deployx_edge.workflows.measure.requests import OpenedRun, RunRequest

_NOT_PLACED = "no input of the model is an image, so boxes and masks have no place"
# What needs to know where an output lies in an image.
_PLACED = ("detection", "segmentation", "text-boxes")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What is known when all samples have run.

    ``arrays`` are the outputs of all of them, empty where they were not kept. ``unreadable`` is the
    error of a file that was named and not just found in a folder. ``emulated``: times are not
    those of a device.
    """

    samples: int
    arrays: Arrays
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    drawn: tuple[Path, ...] = ()
    not_finite: tuple[str, ...] = ()
    emulated: bool = False
    unreadable: UsageError | None = None


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What is run on, and what becomes of it.

    ``every`` takes each so many frames of a video; ``show_folder`` is where images are drawn;
    ``keep`` keeps the outputs themselves also where there may be many.
    """

    paths: Sequence[Path]
    every: int = 1
    show_folder: Path | None = None
    keep: bool = False


def recognize(
    request: RunRequest,
    files: RunFiles,
    take: Callable[[SampleFound], None],
    progress: Progress = silent,
) -> RunSummary:
    """Run the model on all that was given; ``take`` is told each sample as soon as it has run.

    One image or frame after the other is read, run and drawn, so that memory holds a few of them.
    A file that cannot be read is left out. Raises UsageError where none is left.
    """
    given = sort_files(files.paths, files.show_folder)
    _check(given, files)
    show = ShowFolder(files.show_folder, given.images) if files.show_folder else None
    with open_run(request, progress) as opened:
        if show is not None and opened.known == ():
            raise _nothing_to_draw()
        if opened.whole and any(file.is_video for file in given.images):
            raise UsageError(
                f"{request.model} is a sequence of bundles, which runs all samples part by part.",
                remedy="Give a video's frames as images.",
            )
        run = _Run(opened=opened, files=files, show=show, take=take, progress=progress)
        if given.images:
            reader = _image_reader(opened, given, files, progress)
            run.over(reader, None if given.many else len(given.images))
            return run.summary(reader)
        samples = _array_samples(opened, given, progress)
        run.over(samples, len(samples))
        return run.summary(None)


def _check(given: GivenFiles, files: RunFiles) -> None:
    videos = [file.path for file in given.images if file.is_video]
    if videos and files.keep:
        raise UsageError(
            f"--output holds the outputs of all samples at once, and {videos[0]} is a video.",
            remedy="Give its frames as images, or take what was found from --json.",
        )
    if files.every > 1 and not videos:
        raise UsageError("--every is for videos, and none was given.", remedy="Leave it out.")


def _nothing_to_draw() -> UsageError:
    return UsageError(
        "--show-dir: nothing says what the model's outputs mean, so there is nothing to draw.",
        remedy="Say it: --postprocess detection,labels=…, or segmentation, or softmax.",
    )


def _image_reader(
    opened: OpenedRun, given: GivenFiles, files: RunFiles, progress: Progress
) -> ImageReader:
    if len(opened.preprocessing) != 1:
        raise UsageError(
            f"{given.images[0].path} is not an .npz file, and nothing says how an image becomes an "
            "input.",
            remedy="Give --preprocess, e.g. --preprocess std=255, or an .npz file.",
        )
    step = opened.preprocessing[0]
    arrays = read_arrays(given.arrays, (), progress)
    check_fixed(arrays, opened.requests)
    others = {
        spec.name: arrays[spec.name]
        for spec in opened.inputs
        if spec.name != step.input and spec.name in arrays
    }
    missing = [
        spec.name for spec in opened.inputs if spec.name not in others and spec.name != step.input
    ]
    if missing:
        raise UsageError(
            f"There is no array for the input '{missing[0]}', only an image for '{step.input}'.",
            remedy="Give it in an .npz file beside the image.",
        )
    counts = {len(array) for array in others.values() if array.ndim} - {0, 1}
    if counts and (given.many or counts != {len(given.images)}):
        raise UsageError("The inputs hold different numbers of samples.")
    return ImageReader(
        files=given.images,
        step=step,
        spec=next(spec for spec in opened.inputs if spec.name == step.input),
        others=others,
        every=files.every,
        keep=files.show_folder is not None,
    )


def _array_samples(opened: OpenedRun, given: GivenFiles, progress: Progress) -> list[Given]:
    arrays = read_arrays(given.arrays, (), progress)
    check_fixed(arrays, opened.requests)
    file = given.arrays[0]
    parts = opened.split(arrays)
    return [
        Given(
            name=f"{file.name} {place}" if len(parts) > 1 else file.name,
            file=file,
            inputs=part,
            geometry=_geometry_of_input(opened, part),
        )
        for place, part in enumerate(parts)
    ]


def _geometry_of_input(opened: OpenedRun, arrays: Arrays) -> Geometry | None:
    """An input that is an image, taken for the image itself; None where none can be one."""
    steps = {step.input: step for step in opened.preprocessing}
    named = [spec for spec in opened.inputs if spec.name in steps]
    for spec in named or opened.inputs:
        sides = _sides(spec, arrays[spec.name].shape, steps.get(spec.name))
        if sides is not None:
            height, width = sides
            return Geometry(width=width, height=height, input_width=width, input_height=height)
    return None


def _sides(
    spec: NamedShape, shape: Sequence[int], step: PreProcessing | None
) -> tuple[int, int] | None:
    """Height and width of an array that is an image."""
    if len(shape) not in (3, 4) or len(spec.shape) != len(shape):
        return None
    first, second, third = shape[-3:]
    last = step.layout == "NHWC" if step is not None else first not in (1, 3) and third in (1, 3)
    if last:
        return first, second
    return (second, third) if step is not None or first in (1, 3) else None


@dataclass(kw_only=True)
class _Run:
    """One pass over the samples, and what it leaves."""

    opened: OpenedRun
    files: RunFiles
    show: ShowFolder | None
    take: Callable[[SampleFound], None]
    progress: Progress
    count: int = 0
    kept: list[RunAnswer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def over(self, samples: Iterable[Given], expected: int | None) -> None:
        """Run each, and tell what was found in it."""
        waiting: deque[Given] = deque()
        keep = self.files.keep or expected is not None
        steps: tuple[PostProcessing, ...] | None = None

        def passed() -> Iterator[Arrays]:
            for sample in samples:
                waiting.append(sample)
                yield dict(sample.inputs)

        try:
            for answer in self.opened.answers(passed()):
                if steps is None:
                    steps = self.opened.meanings(waiting[0].inputs, answer.outputs)
                    if self.show is not None and not steps:
                        raise _nothing_to_draw()
                if keep:
                    self.kept.append(answer)
                self._tell(waiting.popleft(), answer, steps)
                self.progress(Runs(done=self.count, expected=expected, last_ns=answer.compute_ns))
        except BaseException:
            if self.show is not None:
                self.show.close(whole=False)
            raise
        if self.show is not None:
            self.show.close()

    def _tell(self, given: Given, answer: RunAnswer, steps: Sequence[PostProcessing]) -> None:
        self.count += 1
        usable = [step for step in steps if given.geometry or step.kind not in _PLACED]
        if len(usable) < len(steps) and _NOT_PLACED not in self.notes:
            self.notes.append(_NOT_PLACED)
        broken = {name for name, array in answer.outputs.items() if not _is_finite(array)}
        geometry = given.geometry or Geometry(width=1, height=1, input_width=1, input_height=1)
        findings = [
            finding
            for step in usable
            if step.output not in broken or step.kind in _PLACED
            for finding in find(step, answer.outputs, geometry)
        ]
        drawn = self._draw(self.show, given, findings) if self.show is not None else None
        of_image = given.geometry if given.file.suffix.lower() != ".npz" else None
        self.take(
            SampleFound(
                name=given.name,
                file=given.file,
                compute_ns=answer.compute_ns,
                findings=tuple(findings),
                outputs=_summaries(answer, explained(usable) - broken, alone=not steps),
                width=of_image.width if of_image else None,
                height=of_image.height if of_image else None,
                frame=given.frame,
                drawn=drawn,
                notes=given.notes,
            )
        )

    def _draw(self, show: ShowFolder, given: Given, findings: Sequence[Finding]) -> Path | None:
        if given.image is None:
            note = "an .npz file holds no image to draw on, so its results are only printed"
            if note not in self.notes:
                self.notes.append(note)
            return None
        from deployx_edge.report.annotation import annotate

        return show.add(given, annotate(given.image, findings))

    def _arrays(self) -> Arrays:
        """The outputs of all samples, as far as they were kept and fit each other."""
        if not self.kept:
            return {}
        if _of_one_shape(self.kept):
            return self.opened.together(self.kept)
        if self.files.keep:
            raise UsageError(
                "The outputs of these images are of several shapes, which no single array holds.",
                remedy="Run one image at a time for --output, or take what was found from --json.",
            )
        return {}

    def summary(self, reader: ImageReader | None) -> RunSummary:
        """What is known now; UsageError where nothing could be read."""
        if not self.count:
            assert reader is not None and reader.error is not None
            raise reader.error
        named = {file.name for file in reader.files if not file.listed} if reader else set()
        skipped = tuple(reader.skipped) if reader else ()
        unreadable = [each for each in skipped if each.name in named]
        return RunSummary(
            samples=self.count,
            arrays=self._arrays(),
            skipped=skipped,
            notes=(*(reader.notes if reader else ()), *self.opened.notes, *self.notes),
            drawn=tuple(self.show.written) if self.show else (),
            not_finite=tuple(self.opened.not_finite),
            emulated=any(self.opened.emulated),
            unreadable=UsageError(
                f"{len(unreadable)} of the files named could not be read: {unreadable[0].reason}"
            )
            if unreadable
            else None,
        )


def _of_one_shape(answers: Sequence[RunAnswer]) -> bool:
    return all(
        len({answer.outputs[name].shape for answer in answers}) == 1 for name in answers[0].outputs
    )


def _is_finite(array: numpy.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(numpy.isfinite(array).all())


def _summaries(
    answer: RunAnswer, without: frozenset[str], *, alone: bool
) -> tuple[OutputSummary, ...]:
    """What nobody explained; scores are looked for where it is the model's only output."""
    scores = alone and len(answer.outputs) == 1
    return (
        *(summarise_output(name, array, scores=False) for name, array in answer.dumped.items()),
        *(
            summarise_output(name, array, scores=scores)
            for name, array in answer.outputs.items()
            if name not in without
        ),
    )
