"""A conversion that is known to be right: the source is run, and the result held against it.

The source is opened once. Each of its runs gives what its outputs are, how large its values
become, and on some of the inputs all that is inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import Verification
from deployx_edge.comparison import TOLERANCES, coarser, structured_inputs, telling_inputs
from deployx_edge.differences import kept_elements
from deployx_edge.errors import VerificationError
from deployx_edge.model import PreProcessing, at_sizes
from deployx_edge.progress import Progress, Share, Stage
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    Converter,
    HalfOverflows,
)
from deployx_edge.runtimes.layerwise import KEPT
from deployx_edge.runtimes.proof import Proof, ProofRequest, prove
from deployx_edge.runtimes.runner import run_converted
from deployx_edge.runtimes.verification import verify
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.value_ranges import ValueRanges, WideTensor
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployx_edge.model import Array

    InputSets = Sequence[Mapping[str, Array]]

# Where a run makes more bytes, comparing would cost more than converting: fewer inputs have to do.
# Of the made-up ones normal and smooth noise, and something like an image.
_HUGE_BYTES = 2**27
_MADE_UP = ((2**25, range(6)), (_HUGE_BYTES, (1, 4, 5)))
_FEWEST = (1, 5)
_LARGE = 3
# Of the made-up inputs, the last so many show what is inside.
_INNER = 2


class SourceRuns:
    """A source, the inputs that its conversion is compared on, and what was seen of its runs.

    ``samples`` are the user's own inputs, and come first in ``inputs``. ``first`` are the
    outputs of the one at the place ``seen``, which is made up.
    """

    def __init__(
        self, source: OnnxSource, samples: InputSets, preprocessing: Sequence[PreProcessing]
    ) -> None:
        """Open the source and run it once; ModelError where it does not run."""
        self.walk = SourceWalk(source)
        size = self.walk.tensor_bytes
        places = next((places for most, places in _MADE_UP if size <= most), _FEWEST)
        made_up = structured_inputs(source.inputs, preprocessing, places=places)
        self._is_large = len(made_up) <= _LARGE
        self._is_huge = size > _HUGE_BYTES
        self.inputs: InputSets = (*samples, *made_up)
        self.samples = len(samples)
        self.ranges = ValueRanges()
        # All that is inside is compared on the others, for which they run once more.
        made_up_ones = range(self.samples, len(self.inputs))
        self.seen = next((at for at in made_up_ones if at not in self.inner), self.samples)
        # Elements of the tensors in that run, where all that is inside is compared on one other.
        self.elements: dict[str, NDArray[Any]] = {}
        self.first = self.walk.run(self.inputs[self.seen], self._watch_first)

    def _watch_first(self, tensors: Mapping[str, Array]) -> None:
        self.ranges.take(tensors)
        if self._is_huge:
            numbers = {n: array for n, array in tensors.items() if array.dtype.kind in "biuf"}
            self.elements |= {name: kept_elements(each, KEPT) for name, each in numbers.items()}

    @property
    def source(self) -> OnnxSource:
        """What is run."""
        return self.walk.source

    @property
    def inner(self) -> frozenset[int]:
        """The places of the inputs on which all that is inside is compared.

        Of huge runs that is one, which is looked at for what half floats cannot hold, too.
        """
        if self._is_huge:
            return self.telling_places
        last = len(self.inputs) - _INNER
        return frozenset((*range(last, len(self.inputs)), *range(min(self.samples, 1))))

    @cached_property
    def telling(self) -> InputSets:
        """The inputs with the largest values, on which sums inside layers are looked at."""
        return telling_inputs(self.inputs, 1) if self._is_large else telling_inputs(self.inputs)

    @property
    def telling_places(self) -> frozenset[int]:
        """Where these are."""
        told = {id(arrays) for arrays in self.telling}
        return frozenset(at for at, arrays in enumerate(self.inputs) if id(arrays) in told)

    def wide(self) -> tuple[WideTensor, ...]:
        """The tensors that were seen beyond fp16's range."""
        return self.ranges.wide(self.walk)

    def look(self) -> None:
        """Run on all other inputs, for what is seen of them alone."""
        for place, arrays in enumerate(self.inputs):
            if place != self.seen:
                self.walk.run(arrays, self.ranges.take)


def convert_proven(
    converter: Converter,
    runs: SourceRuns,
    request: ConversionRequest,
    accept_unproven: bool,
    progress: Progress,
) -> tuple[ConvertedModel, Verification]:
    """Convert, and compare with the source; VerificationError where it is not right.

    With fewer bits than fp32, the same conversion in fp32 first, where the runtime has that:
    mistakes show there that fewer bits would hide.
    """
    proofs = _Proofs(converter, runs, request.precision, accept_unproven, progress)
    if request.precision != "fp32" and "fp32" in converter.precisions:
        progress(Stage(text="Comparing the same conversion in fp32"))
        proofs.converted(replace(request, precision="fp32", folder=request.folder / "fp32"))
    converted, verification = proofs.converted(request)
    proofs.at_ends(converted)
    return converted, replace(verification, samples=runs.samples)


def convert_unproven(
    converter: Converter, runs: SourceRuns, request: ConversionRequest, progress: Progress
) -> tuple[ConvertedModel, Verification]:
    """Convert, and see that it loads and runs."""
    runs.look()
    found = converter.find_overflows(runs.source, runs.telling, request.precision)
    request = replace(request, wide=_names(runs.wide()), overflows=found)
    converted = converter.convert(runs.source, request)
    progress(Stage(text=f"Loading it in {converter.runtime}"))
    run_converted(converted, runs.inputs[:1])
    return converted, Verification(status="skipped")


class _Proofs:
    def __init__(
        self,
        converter: Converter,
        runs: SourceRuns,
        precision: str,
        accept_unproven: bool,
        progress: Progress,
    ) -> None:
        self._precision = precision
        self._overflows: HalfOverflows | None = None
        self._converter = converter
        self._runs = runs
        self._accept_unproven = accept_unproven
        self._progress = progress
        self._doubts = converter.doubts(runs.source)

    def converted(self, request: ConversionRequest) -> tuple[ConvertedModel, Verification]:
        """Convert and compare; once more where that has shown what half floats cannot hold."""
        source = self._runs.source
        first = self._with_what_is_known(request, "first")
        model = self._converter.convert(source, first)
        verification = self._prove(model)
        again = self._with_what_is_known(request, "wide")
        if (again.wide, again.overflows) == (first.wide, first.overflows):
            return model, verification
        model = self._converter.convert(source, again)
        return model, self._prove(model)

    def _with_what_is_known(self, request: ConversionRequest, folder: str) -> ConversionRequest:
        """The request with all that is to stay fp32, as far as it was seen."""
        return replace(
            request,
            wide=_names(self._runs.wide()),
            overflows=self._overflows or HalfOverflows(),
            folder=_fresh(request.folder, folder),
        )

    def at_ends(self, model: ConvertedModel) -> None:
        """Compare the outputs at the smallest and the largest sizes of open axes."""
        source = self._runs.source
        if not any(tensor.ranges for tensor in source.inputs):
            return
        for sizes in ("minimum", "maximum"):
            self._progress(Stage(text=f"Comparing at the {sizes} of open axes"))
            tensors = [
                replace(tensor, shape=at_sizes(tensor.shape, tensor.ranges, sizes))
                for tensor in source.inputs
            ]
            self._compare_at(structured_inputs(tensors), model)

    def _compare_at(self, inputs: InputSets, model: ConvertedModel) -> None:
        walk = self._runs.walk
        if walk.rounds_to == "int8":
            request = ProofRequest(
                inputs=inputs,
                inner=range(len(inputs))[-_INNER:],
                telling=(),
                known={},
                accept_unproven=self._accept_unproven,
                doubts=self._doubts,
            )
            prove(model, walk, request)
            return
        verify(
            model,
            walk,
            inputs,
            accept_unproven=self._accept_unproven,
            doubts=self._doubts,
            limits=TOLERANCES[coarser(model.rounds_to, walk.rounds_to)],
        )

    def _prove(self, model: ConvertedModel) -> Verification:
        runs = self._runs
        count = len(runs.inputs)
        self._progress(Stage(text=f"Comparing with ONNX Runtime on {count} inputs"))
        request = ProofRequest(
            inputs=runs.inputs,
            inner=runs.inner,
            telling=runs.telling_places,
            known={runs.seen: runs.first},
            elements=runs.elements,
            watch=runs.ranges.take,
            progress=lambda done: self._progress(Share(done=done, total=count, of="inputs")),
            accept_unproven=self._accept_unproven,
            doubts=self._doubts,
        )
        try:
            proof = prove(model, runs.walk, request)
        except VerificationError as error:
            culprit = load_runtime(model.runtime).make_runner().culprit(model, runs.inputs)
            if culprit is None:
                raise
            raise VerificationError(
                f"{error.message} {culprit.sentence}", remedy=culprit.remedy
            ) from error
        if self._overflows is None:
            self._overflows = self._found(proof)
        return proof.verification

    def _found(self, proof: Proof) -> HalfOverflows:
        """What half floats cannot hold; where the proof does not tell, by runs for this alone."""
        if self._precision == "bf16":
            return HalfOverflows()
        if proof.overflows is not None:
            return proof.overflows
        runs = self._runs
        return self._converter.find_overflows(runs.source, runs.telling, self._precision)


def _names(wide: Sequence[WideTensor]) -> frozenset[str]:
    return frozenset(item.tensor for item in wide)


def _fresh(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    return made
