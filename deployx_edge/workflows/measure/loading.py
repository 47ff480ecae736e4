"""A model in its worker on a board, and what a bench computes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, bundle_digest
from deployx_edge.bundle.tensors import from_board_array
from deployx_edge.comparison import is_finite
from deployx_edge.measurement.values import LoadResult, ModelIdentity, RunOptions, WorkerLimits
from deployx_edge.model import TensorSpec, format_shape
from deployx_edge.workflows.boards.fed_tensors import board_tensors
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.convert.finiteness import broken_outputs, not_finite_sentence

_SEED = 0


@contextmanager
def load_model(
    session: Session,
    bundle: Bundle,
    options: RunOptions,
    limits: WorkerLimits,
    outputs: tuple[str, ...] = (),
) -> Iterator[LoadResult]:
    """A model in its worker for as long as the block lasts; ``outputs`` are the blobs wanted."""
    load = session.load(bundle, options, limits, outputs)
    try:
        yield load
    except BaseException:
        # The error inside is the news; the worker ends with the session at the latest.
        raise
    else:
        session.client.unload(load.model_id)


def identity_of(bundle: Bundle) -> ModelIdentity:
    """What a result says about the model that it is of."""
    return ModelIdentity(
        name=bundle.name,
        runtime=bundle.runtime,
        bundle_sha256=bundle_digest(bundle),
        source_sha256=bundle.provenance.source_sha256,
        inputs=tuple(f"{spec.name}:{format_shape(spec.shape)}" for spec in bundle.inputs),
    )


def random_inputs(bundle: Bundle, batch: int = 1, zeros: Collection[str] = ()) -> list[InputTensor]:
    """Seeded noise for every input, in [0, 1), or of 0 and 1 where it takes whole numbers: what
    a bench computes on. The inputs ``zeros`` are 0."""
    arrays = _noise(bundle, batch)
    arrays.update({name: numpy.zeros_like(arrays[name]) for name in zeros})
    return board_tensors(bundle, arrays)


def not_finite(session: Session, bundle: Bundle, model_id: str, batch: int = 1) -> tuple[str, ...]:
    """What is not finite in the outputs of one run, as a sentence; nothing where all is well."""
    requests = iter([random_inputs(bundle, batch)])
    (reply,) = session.client.infer(model_id, requests)
    if is_finite(reply.outputs.values()):
        return ()
    found = {
        spec.name: from_board_array(
            bundle, spec, reply.outputs[spec.runtime_name], batched=batch > 1
        )
        for spec in bundle.outputs
    }
    broken = broken_outputs(bundle, _noise(bundle, batch), found)
    return (not_finite_sentence(broken, session.identity.name),) if broken else ()


def _noise(bundle: Bundle, batch: int) -> dict[str, numpy.ndarray]:
    generator = numpy.random.default_rng(_SEED)
    arrays = {}
    for spec in bundle.inputs:
        shape = tuple(
            batch if axis == spec.batch_axis else size for axis, size in enumerate(spec.shape)
        )
        arrays[spec.name] = _noise_of(spec, generator, shape)
    return arrays


def _noise_of(
    spec: TensorSpec, generator: numpy.random.Generator, shape: tuple[int, ...]
) -> numpy.ndarray:
    dtype = numpy.dtype(spec.dtype)
    if dtype.kind == "f":
        return generator.random(shape, dtype=numpy.float32).astype(dtype)
    # Every vocabulary has them, and every mask.
    return generator.integers(0, 2, shape).astype(dtype)
