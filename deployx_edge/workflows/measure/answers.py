"""A model's answers to samples that come one after the other: from a board, or from here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Semaphore

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.progress import Stage
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import check_arrays, open_converted, take_into
from deployx_edge.sources.onnx.file import OnnxSource, tensor_names
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.measure.loading import load_model

Arrays = Mapping[str, numpy.ndarray]

# Enough that a board is never idle, few enough that large images fit into memory.
_IN_FLIGHT = 8


@dataclass(frozen=True, kw_only=True)
class RunAnswer:
    """The outputs for one sample, with the tensors inside that were wanted, and its time."""

    outputs: Arrays
    dumped: Arrays
    compute_ns: int


def board_answers(
    session: Session,
    bundle: Bundle,
    samples: Iterable[Arrays],
    *,
    options: RunOptions,
    limits: WorkerLimits,
    dump: Sequence[str] = (),
) -> Iterator[RunAnswer]:
    """Those of a board, several samples in flight; the bundle is pushed and loaded once."""
    session.push(bundle)
    model, runner = read_converted(bundle), load_runtime(bundle.runtime).make_runner()
    inside = {name: runner.name_of(name) for name in dump}
    blobs = dict.fromkeys([*(spec.runtime_name for spec in bundle.outputs), *inside.values()])
    free = Semaphore(_IN_FLIGHT)
    failed: list[BaseException] = []

    def requests() -> Iterator[list[InputTensor]]:
        # gRPC asks for them in a thread of its own, where an error would be lost.
        try:
            for sample in samples:
                free.acquire()
                yield _tensors(bundle, sample)
        except BaseException as error:
            failed.append(error)

    with load_model(session, bundle, options, limits, tuple(blobs)) as load:
        session.progress(Stage(text=f"Running {bundle.name} on {session.identity.name}"))
        for reply in session.client.infer(load.model_id, requests()):
            free.release()
            yield RunAnswer(
                outputs={
                    spec.name: from_board_array(bundle, spec, reply.outputs[spec.runtime_name])
                    for spec in bundle.outputs
                },
                dumped=runner.as_values(
                    model, {name: reply.outputs[blob] for name, blob in inside.items()}
                )
                if inside
                else {},
                compute_ns=reply.compute_ns,
            )
        if failed:
            raise failed[0]


def bundle_answers(
    bundle: Bundle, samples: Iterable[Arrays], dump: Sequence[str] = ()
) -> Iterator[RunAnswer]:
    """Those of the runtime's Python package on this computer; the bundle is loaded once."""
    model = read_converted(bundle)
    producers = load_runtime(bundle.runtime).make_runner().producers(model, dump)
    unknown = [name for name in dump if name not in producers]
    if unknown:
        raise UsageError(f"The bundle {bundle.name} has no tensor '{unknown[0]}'.")
    blobs = [producers[name].runtime_name for name in dump]
    with open_converted(model) as opened:
        for sample in samples:
            check_arrays(bundle.inputs, [sample])
            inside: dict[str, numpy.ndarray] = {}
            started = time.perf_counter_ns()
            outputs = opened.run(sample, blobs, take_into(inside))
            yield RunAnswer(
                outputs={spec.name: outputs[spec.name] for spec in bundle.outputs},
                dumped={name: inside[producers[name].runtime_name] for name in dump},
                compute_ns=time.perf_counter_ns() - started,
            )


def source_answers(
    source: OnnxSource, samples: Iterable[Arrays], dump: Sequence[str] = ()
) -> Iterator[RunAnswer]:
    """Those of ONNX Runtime for the source as it is; it is loaded once."""
    unknown = [name for name in dump if name not in tensor_names(source)]
    if unknown:
        raise UsageError(f"{source.path.name} has no tensor '{unknown[0]}' that a node makes.")
    names = tuple(dict.fromkeys([*dump, *source.output_names]))
    reference = Reference(source, tensors=names)
    for sample in samples:
        given = {tensor.name: sample[tensor.name] for tensor in source.inputs}
        started = time.perf_counter_ns()
        found = reference.run(given)
        yield RunAnswer(
            outputs={name: found[name] for name in source.output_names},
            dumped={name: found[name] for name in dump if name not in source.output_names},
            compute_ns=time.perf_counter_ns() - started,
        )


def stacked(parts: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """A tensor of several samples, which of one is left as it is."""
    return parts[0] if len(parts) == 1 else numpy.stack(parts)


def _tensors(bundle: Bundle, sample: Arrays) -> list[InputTensor]:
    arrays = to_board_arrays(bundle, sample)
    return [
        InputTensor(runtime_name=blob, array=array, batched=batched)
        for blob, (array, batched) in arrays.items()
    ]
