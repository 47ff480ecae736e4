"""The values of which a bundle is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import BundleError
from deployx_edge.model import (
    InputRequest,
    PostProcessing,
    PreProcessing,
    TensorSpec,
    parse_inputs,
)


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """One file: what it is for ("param", "bin"), its path inside the bundle, its content."""

    role: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """How far one output of the converted model is from the reference.

    ``variation`` is the root mean square deviation of the reference from its mean over
    the test inputs, ``magnitude`` the root mean square of the reference itself.
    ``relative_error`` is the rms error divided by ``variation``; ``slice_error`` the
    worst such ratio of a single slice along the first axis of a sample (a channel);
    ``max_abs_error`` is in the output's own unit; ``snr_db`` is None where there is no
    error at all; ``cosine`` compares the two after the mean over the inputs is taken off (NaN:
    nobody asked for it).
    ``verdict``: "same", "rounded" (as far off as the precision may be, but further than half
    floats would be), "differs", or "unproven" (the output hardly depends on the input).
    """

    output: str
    verdict: str
    relative_error: float
    slice_error: float
    max_abs_error: float
    snr_db: float | None
    cosine: float
    variation: float
    magnitude: float


@dataclass(frozen=True, kw_only=True)
class IntermediateCheck:
    """What a comparison found between inputs and outputs.

    ``compared`` tensors kept their names; ``unproven`` of them hardly depend on the input.
    ``worst`` is the proven one with the largest relative error, ``worst_error``.
    ``judged_alone`` were beyond the limits, and are right for what the model has before them:
    what differs is rounding.
    """

    compared: int
    unproven: int
    worst: str
    worst_error: float
    judged_alone: int = 0


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Whether the bundle's files were seen to compute what the source computes.

    ``status``: "passed"; "accepted" (passed, but for outputs that prove nothing and were
    accepted on demand); "skipped" (on demand); "no-reference" (there is no source model
    to compare with; the files load and run). ``inputs`` is the number of test inputs, of
    which ``samples`` are the user's own.
    """

    status: str
    reference: str = ""
    inputs: int = 0
    samples: int = 0
    outputs: tuple[OutputCheck, ...] = ()
    intermediates: IntermediateCheck | None = None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the bundle: tools as (name, version), the source, the verification.

    ``notes`` are what the user was told aloud while it was made: layers that stay fp32,
    another exporter than the first, rewriters that found nothing to do. ``fixed_inputs`` are the
    source's inputs that were given a value, as ``--input`` takes them (``sr=16000``).
    """

    tools: tuple[tuple[str, str], ...]
    source_file: str
    source_sha256: str
    notes: tuple[str, ...]
    verification: Verification
    fixed_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LeftNode:
    """A node that an accelerator leaves to the processor, and why ("" where it does not tell)."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.operator} (node '{self.node}'){reason}"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A model that is ready for its runtime.

    ``folder`` is where it lies; the rest is what ``bundle.json`` says. ``precision`` is
    the element type of the stored weights ("fp32", "fp16", "int8"). ``operators`` are those of our
    own (``ops/``) that its worker must have. ``soc`` is the chip that its files are for, "" where
    they are for all. ``left`` are nodes that the runtime's accelerator leaves to the processor,
    which was allowed when the bundle was made.
    """

    folder: Path
    name: str
    runtime: str
    precision: str
    files: tuple[BundleFile, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: tuple[PreProcessing, ...]
    postprocessing: tuple[PostProcessing, ...]
    provenance: Provenance
    operators: tuple[str, ...] = ()
    soc: str = ""
    left: tuple[LeftNode, ...] = ()

    def input_requests(self) -> dict[str, InputRequest]:
        """What the source is read with to be what the bundle holds, by input name."""
        shapes = {
            spec.name: InputRequest(shape=spec.shape, ranges=spec.ranges) for spec in self.inputs
        }
        return {**shapes, **parse_inputs(self.provenance.fixed_inputs)}

    def file(self, role: str) -> BundleFile:
        """The file of that role; BundleError where there is none."""
        for file in self.files:
            if file.role == role:
                return file
        raise BundleError(f"The bundle {self.folder} has no file of the role '{role}'.")

    def path(self, role: str) -> Path:
        """Where the file of that role lies on this computer."""
        return self.folder / self.file(role).path
