"""What a model found in each sample, and what its other outputs are: as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge.input_requests import format_shape
from deployx_edge.processing.findings import Finding, FoundBox, OutputSummary, SampleFound
from deployx_edge.units import duration

if TYPE_CHECKING:
    import numpy

    from deployx_edge.processing.results import ClassScore

_SHOWN_SAMPLES = 50
_SHOWN_BOXES = 20
_SHOWN_SHARES = 10
_NAMED = 10
_LEAST_SHARE = 0.0005
_UNITS = {
    "boxes": "x0 y0 x1 y1, and x y of points and corners, in pixels from the image's upper left "
    "edge; of the model's input where a sample has no image (width is null)",
    "score": "as the post-processing gives it; 0 … 1 where it is a probability",
    "share": "0 … 1 of the image's pixels",
    "milliseconds": "ms of one run, on the device or on this computer",
}


class FoundTables:
    """Tables of what was found, filled sample by sample; of many samples the first are shown."""

    def __init__(self) -> None:
        self.samples = 0
        self._shown: list[SampleFound] = []
        self._labels: dict[str, list[float]] = {}  # boxes, images, and the best score
        self._noted: dict[str, list[str]] = {}
        self._times: list[int] = []

    def add(self, sample: SampleFound) -> None:
        """The next sample."""
        self.samples += 1
        self._times.append(sample.compute_ns)
        if len(self._shown) < _SHOWN_SAMPLES:
            # What is for drawing alone is as large as the image.
            light = tuple(replace(finding, mask=None) for finding in sample.findings)
            self._shown.append(replace(sample, findings=light))
        for note in sample.notes:
            self._noted.setdefault(note, []).append(sample.name)
        boxes = [box for finding in sample.findings for box in finding.boxes]
        for label in dict.fromkeys(box.label for box in boxes):
            scores = [box.score for box in boxes if box.label == label]
            seen = self._labels.setdefault(label, [0.0, 0.0, 0.0])
            seen[:] = seen[0] + len(scores), seen[1] + 1, max(seen[2], *scores)

    def report(
        self,
        skipped: Sequence[tuple[str, str]] = (),
        notes: Sequence[str] = (),
        *,
        emulated: bool = False,
    ) -> Group:
        """All of it; ``skipped`` are names of files with the reason why they were left out."""
        parts: list[Table | Text] = [*self._tables()]
        if self.samples > len(self._shown):
            left = self.samples - len(self._shown)
            parts.append(Text(f"and {left} more samples; --json has them all"))
            parts += [self._counted()] if self._labels else []
        for note, names in self._noted.items():
            parts.append(Text(f"note: {_count(names)} {note}: {_listed(names)}"))
        parts += [Text(f"note: {note}") for note in notes]
        if skipped:
            whole = self.samples + len(skipped)
            parts.append(Text(f"{len(skipped)} of {whole} could not be read:", style="yellow"))
            parts += [Text(f"  {name}: {reason}") for name, reason in skipped[:_NAMED]]
            if len(skipped) > _NAMED:
                parts.append(Text(f"  and {len(skipped) - _NAMED} more"))
        if self.samples > 1:
            parts.append(Text(self._timed(emulated)))
        return Group(*parts)

    def _timed(self, emulated: bool) -> str:
        from statistics import median

        mark = " (emulated)" if emulated else ""
        return f"{self.samples} samples, median {duration(median(self._times))} a run{mark}"

    def _tables(self) -> Iterable[Table]:
        kinds = {finding.kind for sample in self._shown for finding in sample.findings}
        if "classification" in kinds:
            yield _classes(self._shown)
        if "detection" in kinds:
            yield _boxes(self._shown)
        if "segmentation" in kinds:
            yield _shares(self._shown)
        if "text" in kinds:
            yield _texts(self._shown)
        if "text-boxes" in kinds:
            yield _areas(self._shown)
        if any(sample.outputs for sample in self._shown):
            yield _outputs(self._shown)

    def _counted(self) -> Table:
        table = Table(title=f"Found in {self.samples} samples")
        table.add_column("label")
        for heading in ("boxes", "samples", "best score"):
            table.add_column(heading, justify="right")
        for label, (boxes, samples, best) in sorted(
            self._labels.items(), key=lambda item: -item[1][0]
        ):
            table.add_row(label, f"{boxes:.0f}", f"{samples:.0f}", f"{best:.3f}")
        return table


def sample_document(sample: SampleFound) -> dict[str, Any]:
    """One sample with its units in the names, or in the document's ``units``."""
    document: dict[str, Any] = {
        "name": sample.name,
        "file": str(sample.file),
        "frame": sample.frame,
        "width": sample.width,
        "height": sample.height,
        "milliseconds": sample.compute_ns / 1e6,
        "drawn": None if sample.drawn is None else str(sample.drawn),
        "notes": list(sample.notes),
        "classes": [],
        "boxes": [],
        "masks": [],
        "texts": [],
        "text_boxes": [],
        "outputs": [asdict(summary) for summary in sample.outputs],
    }
    for finding in sample.findings:
        entry = {"output": finding.output}
        document["classes"] += [entry | asdict(each) for each in finding.classes]
        document["boxes"] += [entry | asdict(each) for each in finding.boxes]
        document["masks"] += [entry | asdict(each) for each in finding.shares]
        document["texts"] += [entry | asdict(finding.text)] if finding.text else []
        document["text_boxes"] += [entry | asdict(each) for each in finding.areas]
    return document


def outputs_document(
    outputs: Mapping[str, numpy.ndarray],
    skipped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    drawn: Sequence[str] = (),
    *,
    emulated: bool = False,
) -> dict[str, Any]:
    """Everything but the samples; the outputs of all of them as nested lists, where they were
    kept. ``not_finite`` counts NaN and infinities."""
    import numpy

    return {
        "kind": "outputs",
        "units": _UNITS,
        "emulated": emulated,
        "skipped": [{"name": name, "reason": reason} for name, reason in skipped],
        "notes": list(notes),
        "drawn": list(drawn),
        "outputs": {
            name: {
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "not_finite": int((~numpy.isfinite(array)).sum()) if array.dtype.kind == "f" else 0,
                "values": array.tolist(),
            }
            for name, array in outputs.items()
        },
    }


def _of_kind(
    samples: Sequence[SampleFound], kind: str
) -> Iterable[tuple[SampleFound, str, Finding]]:
    """Each finding with its sample and what that is called beside its other findings."""
    for sample in samples:
        found = [finding for finding in sample.findings if finding.kind == kind]
        outputs = {finding.output for finding in found}
        for place, finding in enumerate(found):
            more = f" ({finding.output})" if len(outputs) > 1 else ""
            more = more or (f" [{place}]" if len(found) > 1 else "")
            yield sample, f"{sample.name}{more}", finding


def _classes(samples: Sequence[SampleFound]) -> Table:
    table = Table(title="Classes")
    table.add_column("sample", overflow="fold")
    table.add_column("score (class), best first")
    for _, name, finding in _of_kind(samples, "classification"):
        table.add_row(name, _scores(finding.classes))
    return table


def _texts(samples: Sequence[SampleFound]) -> Table:
    table = Table(title="Text")
    table.add_column("sample", overflow="fold")
    table.add_column("text", overflow="fold")
    table.add_column("score", justify="right")
    for _, name, finding in _of_kind(samples, "text"):
        if finding.text is not None:
            table.add_row(name, Text(finding.text.text), f"{finding.text.score:.3f}")
    return table


def _areas(samples: Sequence[SampleFound]) -> Table:
    table = Table(title=f"Places of text (corners in pixels of the {_place(samples)})")
    table.add_column("sample", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("corners", overflow="fold")
    for _, name, finding in _of_kind(samples, "text-boxes"):
        if not finding.areas:
            table.add_row(name, Text("none", style="dim"))
        for place, area in enumerate(finding.areas[:_SHOWN_BOXES]):
            corners = "  ".join(f"{x:.1f},{y:.1f}" for x, y in area.corners)
            table.add_row("" if place else name, f"{area.score:.3f}", corners)
        if len(finding.areas) > _SHOWN_BOXES:
            left = len(finding.areas) - _SHOWN_BOXES
            table.add_row("", Text(f"and {left} more", style="dim"))
    return table


def _place(samples: Sequence[SampleFound]) -> str:
    return "image" if any(sample.width for sample in samples) else "model input"


def _boxes(samples: Sequence[SampleFound]) -> Table:
    table = Table(title=f"Boxes (pixels of the {_place(samples)})")
    table.add_column("sample", overflow="fold")
    table.add_column("label")
    for heading in ("score", "x0", "y0", "x1", "y1"):
        table.add_column(heading, justify="right")
    pointed = any(box.points for s in samples for f in s.findings for box in f.boxes)
    if pointed:
        table.add_column("points (x,y score)", overflow="fold")
    for _, name, finding in _of_kind(samples, "detection"):
        if not finding.boxes:
            table.add_row(name, Text("none", style="dim"))
        for place, box in enumerate(finding.boxes[:_SHOWN_BOXES]):
            corners = (f"{value:.1f}" for value in (box.x0, box.y0, box.x1, box.y1))
            row = (box.label, f"{box.score:.3f}", *corners, *([_points(box)] if pointed else []))
            table.add_row("" if place else name, *row)
        if len(finding.boxes) > _SHOWN_BOXES:
            left = len(finding.boxes) - _SHOWN_BOXES
            table.add_row("", Text(f"and {left} more", style="dim"))
    return table


def _points(box: FoundBox) -> str:
    return "  ".join(f"{x:.0f},{y:.0f} {sure:.2f}" for x, y, sure in box.points)


def _shares(samples: Sequence[SampleFound]) -> Table:
    table = Table(title=f"Classes of the pixels of the {_place(samples)}")
    table.add_column("sample", overflow="fold")
    table.add_column("class")
    for heading in ("share", "pixels"):
        table.add_column(heading, justify="right")
    for _, name, finding in _of_kind(samples, "segmentation"):
        shown = [each for each in finding.shares if each.share >= _LEAST_SHARE][:_SHOWN_SHARES]
        for place, each in enumerate(shown):
            row = (each.label, f"{each.share:.1%}", str(each.pixels))
            table.add_row("" if place else name, *row)
        if len(finding.shares) > len(shown):
            left = len(finding.shares) - len(shown)
            table.add_row("", Text(f"and {left} more", style="dim"))
    return table


def _outputs(samples: Sequence[SampleFound]) -> Table:
    largest = any(summary.largest for sample in samples for summary in sample.outputs)
    table = Table(title="Outputs")
    table.add_column("sample", overflow="fold")
    for heading in ("output", "shape", "type", "range"):
        table.add_column(heading, overflow="fold")
    if largest:
        table.add_column("largest values (index)")
    for sample in samples:
        for place, summary in enumerate(sample.outputs):
            row: list[str | Text] = [
                "" if place else sample.name,
                summary.name,
                format_shape(summary.shape),
                summary.dtype,
                _range(summary),
            ]
            table.add_row(*row, *([_scores(summary.largest[:3])] if largest else []))
    return table


def _range(summary: OutputSummary) -> str | Text:
    if summary.not_finite:
        words = f"{summary.not_finite} of {summary.size} values are NaN or infinite"
        return Text(words, style="red")
    if summary.low is None or summary.high is None:
        return "–"
    return f"{summary.low:.4g} … {summary.high:.4g}"


def _scores(classes: Sequence[ClassScore]) -> str:
    return ", ".join(f"{each.score:.4g} ({each.label})" for each in classes)


def _count(names: Sequence[str]) -> str:
    return "1 image" if len(names) == 1 else f"{len(names)} images, each of which"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
