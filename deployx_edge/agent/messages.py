"""Between the messages of ``agent.proto`` and the values of this package."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.errors import AgentError
from deployx_edge.measurement.values import (
    BenchSamples,
    BoardDescription,
    Cluster,
    Conditions,
    LayerProfile,
    LoadResult,
    Measure,
    PrecisionCount,
    Reading,
    RunOptions,
    Throughput,
    UnitCount,
)
from deployx_edge.visible import visible_line

_CORES = {
    "all": agent_pb2.CORES_ALL,
    "little": agent_pb2.CORES_LITTLE,
    "big": agent_pb2.CORES_BIG,
}

_NUMPY_NAMES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64")
_DTYPES = {
    name: numpy.dtype(name).newbyteorder("<")
    for name in (*_NUMPY_NAMES, "uint8", "uint16", "uint32", "uint64")
}

_MOST_PROGRESS_LETTERS = 200
_MOST_DIMS = 9  # eight and a batch


@dataclass(frozen=True, kw_only=True)
class FedTensor:
    """An output of one step that is an input of the next, both by the runtime's names.

    ``grows``: the input's shape follows the output's. ``omitted``: the step's answer does not
    hold it.
    """

    output: str
    input: str
    grows: bool = False
    omitted: bool = False


def options_message(options: RunOptions) -> agent_pb2.RunOptions:
    """The options as the worker takes them."""
    return agent_pb2.RunOptions(
        threads=options.threads,
        cores=_CORES[options.cores],
        accelerator=options.accelerator,
        precision=options.precision,
        named=dict(options.named),
    )


def tensor_message(name: str, array: numpy.ndarray, batched: bool) -> agent_pb2.Tensor:
    """``array`` as the board takes it: dense, little-endian, slowest axis first."""
    dense = numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return agent_pb2.Tensor(
        name=name,
        dtype=array.dtype.name,
        dims=list(array.shape),
        data=dense.tobytes(),
        batched=batched,
    )


def feed_messages(feeds: Sequence[FedTensor]) -> list[agent_pb2.FeedBack]:
    """What is fed back, as the board takes it."""
    return [
        agent_pb2.FeedBack(
            output=feed.output, input=feed.input, grows=feed.grows, omitted=feed.omitted
        )
        for feed in feeds
    ]


def array_of(message: agent_pb2.Tensor) -> numpy.ndarray:
    """The tensor's values; the array is read-only, since it shares the message's memory.

    AgentError where type, shape and bytes do not belong together.
    """
    shape = tuple(message.dims)
    dtype = _dtype(message.dtype)
    known = dtype is not None and min(shape, default=0) >= 0 and len(shape) <= _MOST_DIMS
    if dtype is None or not known or math.prod(shape) * dtype.itemsize != len(message.data):
        raise AgentError(
            f"The agent sent {len(message.data)} bytes as the output {message.name[:100]!r} of "
            f"type {message.dtype[:40]!r} and shape {list(shape[:8])}, which do not fit."
        )
    return numpy.frombuffer(message.data, dtype=dtype).reshape(shape)


def _dtype(name: str) -> numpy.dtype[Any] | None:
    if name == "bfloat16":
        import ml_dtypes

        found: numpy.dtype[Any] = numpy.dtype(ml_dtypes.bfloat16)
        return found
    return _DTYPES.get(name)


def conditions_of(message: agent_pb2.Conditions) -> Conditions:
    """Readings in the agent's order."""
    return Conditions(
        temperatures=_readings(message.temperatures),
        frequencies=_readings(message.frequencies),
        governors=tuple(message.governors),
        measures=tuple(
            Measure(name=m.name, value=m.value, unit=m.unit, source=m.source)
            for m in message.measures
        ),
        settings=tuple(message.settings),
    )


def board_of(message: agent_pb2.DeviceDescription) -> BoardDescription:
    """Absent fields become None: not available."""

    def given(field: Any) -> bool:
        return message.HasField(field)

    return BoardDescription(
        machine=message.machine,
        kernel=message.kernel,
        os=message.os,
        libc=message.libc,
        soc=message.soc if given("soc") else None,
        cpu_model=message.cpu_model if given("cpu_model") else None,
        cores=message.cores,
        clusters=tuple(
            Cluster(name=c.name, cpus=tuple(c.cpus), max_mhz=c.max_mhz) for c in message.clusters
        ),
        isa_features=tuple(message.isa_features),
        memory_bytes=message.memory_bytes if given("memory_bytes") else None,
        memory_available_bytes=(
            message.memory_available_bytes if given("memory_available_bytes") else None
        ),
        disk_free_bytes=message.disk_free_bytes if given("disk_free_bytes") else None,
        conditions=conditions_of(message.conditions),
        emulated=message.emulated,
        emulated_reason=message.emulated_reason,
        free_cores=message.free_cores,
        processor_quota=message.processor_quota if given("processor_quota") else None,
    )


def load_of(message: agent_pb2.Loaded) -> LoadResult:
    """The loaded model's handle and what loading took."""
    return LoadResult(
        model_id=message.model_id,
        runtime_version=message.runtime_version,
        load_ns=message.load_ns,
        threads=message.threads,
        accelerator_bytes=message.accelerator_bytes or None,
    )


def progress_of(message: agent_pb2.Progress) -> tuple[float | None, str]:
    """How far a preparation is, None where the runtime does not tell, and what is being done."""
    told = message.HasField("fraction") and math.isfinite(message.fraction)
    fraction = min(max(message.fraction, 0.0), 1.0) if told else None
    return fraction, visible_line(message.text[:_MOST_PROGRESS_LETTERS])


def bench_of(samples: Iterable[int], summary: agent_pb2.BenchSummary) -> BenchSamples:
    """All samples of one bench with its summary."""
    return BenchSamples(
        samples_ns=tuple(samples),
        first_run_ns=summary.first_run_ns,
        precisions=tuple(
            PrecisionCount(precision=p.precision, layers=p.layers) for p in summary.precisions
        ),
        peak_memory_bytes=(
            summary.peak_memory_bytes if summary.HasField("peak_memory_bytes") else None
        ),
        before=conditions_of(summary.before),
        after=conditions_of(summary.after),
        waited_ns=summary.waited_ns if summary.HasField("waited_ns") else None,
        throttled_ns=summary.throttled_ns if summary.HasField("throttled_ns") else None,
        fell_back=tuple(summary.fell_back),
        units=tuple(
            UnitCount(unit=u.unit, layers=u.layers, fell_back=u.fell_back) for u in summary.units
        ),
        throughput=_throughput(summary),
    )


def _throughput(summary: agent_pb2.BenchSummary) -> Throughput | None:
    told = summary.throughput
    if not summary.HasField("throughput") or told.ns <= 0:
        return None
    return Throughput(streams=told.streams, runs=told.runs, ns=told.ns)


def layer_of(message: agent_pb2.LayerTimes) -> LayerProfile:
    """One layer of a profile."""
    return LayerProfile(
        index=message.index,
        name=message.name,
        type=message.type,
        dims=tuple(message.dims),
        element_bits=message.element_bits or None,
        packing=message.packing or None,
        precision=message.precision or None,
        unit=message.unit or None,
        fell_back=message.fell_back,
        samples_ns=tuple(message.ns),
        samples_cycles=tuple(message.cycles),
    )


def _readings(messages: Iterable[agent_pb2.Reading]) -> tuple[Reading, ...]:
    return tuple(Reading(name=m.name, value=m.value, source=m.source) for m in messages)
