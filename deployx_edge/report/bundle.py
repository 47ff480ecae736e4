"""What a bundle holds, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge.bundle import (
    Bundle,
    BundleSequence,
    IntermediateCheck,
    OutputCheck,
    bundle_digest,
    manifest_of,
)
from deployx_edge.model import TensorSpec, format_shape
from deployx_edge.units import size

_STATUS = {
    "passed": "passed against {reference} on {inputs} inputs",
    "accepted": "accepted: some outputs hardly depend on the input ({reference}, {inputs} inputs)",
    "skipped": "skipped on demand (--no-verify)",
    "no-reference": "not verified: no reference (the files load and run)",
}


def bundle_document(bundle: Bundle) -> dict[str, Any]:
    """The manifest, with where it lies and its digest."""
    return {
        "kind": "bundle",
        "folder": str(bundle.folder),
        "sha256": bundle_digest(bundle),
        "manifest": manifest_of(bundle),
    }


def sequence_document(sequence: BundleSequence) -> dict[str, Any]:
    """The parts with what feeds them, the results, and each bundle."""
    return {
        "kind": "sequence",
        "name": sequence.name,
        "parts": [asdict(part) for part in sequence.parts],
        "results": [asdict(result) for result in sequence.results],
        "bundles": [bundle_document(bundle) for bundle in sequence.bundles],
    }


def sequence_report(sequence: BundleSequence) -> Group:
    """A table of how the parts are joined, then one of each bundle."""
    table = Table(title=f"Sequence {sequence.name}")
    for heading in ("part", "runtime", "input", "comes from"):
        table.add_column(heading)
    for index, (part, bundle) in enumerate(zip(sequence.parts, sequence.bundles, strict=True)):
        for feed in part.feeds:
            origin = "the model's input" if feed.part is None else f"part {feed.part}"
            source = f"{feed.tensor} ({origin})"
            table.add_row(f"{index} ({part.folder})", bundle.runtime, feed.input, source)
    for result in sequence.results:
        table.add_row("output", "", result.output, f"{result.tensor} (part {result.part})")
    return Group(table, *(bundle_table(bundle) for bundle in sequence.bundles))


def bundle_table(bundle: Bundle) -> Table:
    """One row a fact: files, tensors, and how far each output is from the source's."""
    table = Table(title=f"Bundle {bundle.name}", show_header=False)
    table.add_column("what")
    table.add_column("value")
    verification = bundle.provenance.verification
    table.add_row("folder", str(bundle.folder))
    table.add_row("runtime", f"{bundle.runtime}, {bundle.precision}")
    for file in bundle.files:
        table.add_row(file.role, f"{file.path} ({size(file.size)})")
    for spec in bundle.inputs:
        table.add_row("input", _tensor(spec))
    for spec in bundle.outputs:
        table.add_row("output", _tensor(spec))
    for step in bundle.preprocessing:
        table.add_row("image", f"{step.input}: {step.width}x{step.height} {step.colour}")
    for index, node in enumerate(bundle.left):
        table.add_row("" if index else "left to the processor", Text(str(node)))
    table.add_row(
        "comparison",
        _STATUS[verification.status].format(
            reference=verification.reference, inputs=verification.inputs
        ),
    )
    for check in verification.outputs:
        table.add_row(f"  {check.output}", _check(check))
    if verification.intermediates is not None:
        table.add_row("  inside", _inside(verification.intermediates))
    for note in bundle.provenance.notes:
        table.add_row("note", note)
    table.add_row("sha256", bundle_digest(bundle))
    return table


def _inside(check: IntermediateCheck) -> str:
    if not check.compared:
        return "no tensor kept its name"
    unproven = f", {check.unproven} of them hardly depend on the input" if check.unproven else ""
    if check.judged_alone:
        unproven += f", {check.judged_alone} differ by rounding alone"
    worst = f"; the worst is '{check.worst}': {check.worst_error:.1e}" if check.worst else ""
    return f"{check.compared} tensors{unproven}{worst}"


def _tensor(spec: TensorSpec) -> str:
    layout = f" {spec.layout}" if spec.layout else ""
    batch = "" if spec.batch_axis is None else f", batch axis {spec.batch_axis}"
    sizes = "".join(
        f", axis {entry.axis} {entry.minimum} to {entry.maximum}" for entry in spec.ranges
    )
    return f"{spec.name} {format_shape(spec.shape)}{layout} {spec.dtype}{batch}{sizes}"


def _check(check: OutputCheck) -> str:
    snr = "exact" if check.snr_db is None else f"SNR {check.snr_db:.0f} dB"
    return (
        f"{check.verdict}: error {check.relative_error:.1e} of its variation between inputs, "
        f"{snr}, largest {check.max_abs_error:.2e}, cosine {check.cosine:.6f}"
    )
