"""Load, Infer, Bench, Profile and Unload, when all goes well and when hosts err."""

from __future__ import annotations

from pathlib import Path

import grpc
import ml_dtypes
import numpy
import pytest

from deployx_edge.agent import messages
from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import DATA, failure_of, tensor
from tests.integration.processes import children, wait_until


def refused(session, code, call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    failure = failure_of(caught.value)
    assert failure.code == code, failure
    session.call("Heartbeat", pb.HeartbeatRequest())
    return failure


def test_inputs_come_back_in_the_order_of_the_requests(session):
    model = session.load()
    replies = session.infer(model, 500)
    assert [reply.sequence for reply in replies] == list(range(500))
    assert all(reply.outputs[0].data == DATA for reply in replies)
    assert all(reply.compute_ns > 0 and reply.worker_ns > 0 for reply in replies)


def test_several_inputs_and_large_ones_travel_whole(session):
    model = session.load()
    large = bytes(range(256)) * (1 << 18)  # 64 MiB
    inputs = [tensor(large, "a"), tensor(b"", "b"), tensor(DATA, "c")]
    inputs[0].batched = True
    (reply,) = session.infer(model, 1, inputs=inputs)
    assert list(reply.outputs) == inputs


def test_every_element_type_travels_in_up_to_eight_dimensions(session):
    names = ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
    names += ["uint8", "uint16", "uint32", "uint64"]
    types = [*map(numpy.dtype, names), numpy.dtype(ml_dtypes.bfloat16)]
    model = session.load()
    for shape in ((), (3, 0), (2, 3), (1, 2, 1, 2, 1, 2, 1, 2)):
        values = numpy.random.default_rng(0).integers(0, 2, shape)
        arrays = {str(each): numpy.asarray(values).astype(each) for each in types}
        inputs = [messages.tensor_message(n, array, False) for n, array in arrays.items()]
        (reply,) = session.infer(model, 1, inputs=inputs)
        found = {each.name: messages.array_of(each) for each in reply.outputs}
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, shape)
            assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "complex64"}, "expected an element type of bool, int8"),
        ({"dims": [1] * 9, "data": bytes(4)}, "at most 8 dims, got 9"),
        ({"dims": [3]}, "dims [3] of float32 are 12 bytes, got 8"),
        ({"dims": [1 << 62, 1 << 62]}, "at most 1 GiB"),
        ({"dims": [-2]}, "dims of at least 0"),
        ({"dtype": "int64", "dims": [2]}, "dims [2] of int64 are 16 bytes, got 8"),
    ],
    ids=["type", "axes", "bytes", "overflow", "negative", "wide"],
)
def test_a_tensor_whose_type_shape_and_bytes_disagree_is_refused(session, changes, said):
    model = session.load()
    wrong = pb.Tensor(**{"name": "in0", "dtype": "float32", "dims": [2], "data": DATA, **changes})
    failure = refused(
        session,
        pb.FAILURE_RUNTIME_REFUSED,
        lambda: session.infer(model, 1, inputs=[wrong]),
    )
    assert said in failure.message
    assert len(session.infer(model, 2)) == 2


def test_a_host_that_sends_faster_than_the_worker_runs_does_not_fill_the_memory(start):
    session = start(environment={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    session.shake()
    model = session.load("run sleep 2\n")
    megabyte = bytes(1 << 20)
    assert len(session.infer(model, 400, inputs=[tensor(megabyte)])) == 400
    status = Path(f"/proc/{session.pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 200 << 10  # of the 400 MiB that went through; in KiB


def test_lock_step_works_too(session):
    calls = session.lock_step(session.load())
    for _ in range(20):
        assert calls.run().outputs[0].data == DATA
    calls.end()
    assert list(calls.replies) == []


def steps(session, model, *, first, feeds, count=4):
    """A stream whose first step alone names its inputs."""
    requests = (
        pb.InferRequest(model_id=model, sequence=i, inputs=first if i == 0 else [], feed_back=feeds)
        for i in range(count)
    )
    return list(session.call("Infer", requests))


def test_steps_name_their_inputs_once_and_what_is_fed_back_stays(session):
    model = session.load()
    inputs = [tensor(b"abcdefgh", "a"), tensor(DATA, "b")]
    # The worker gives every input back as the output of its name.
    swapped = [pb.FeedBack(output="a", input="b"), pb.FeedBack(output="b", input="a")]
    replies = steps(session, model, first=inputs, feeds=swapped)
    found = [{each.name: each.data for each in reply.outputs} for reply in replies]
    straight = {"a": b"abcdefgh", "b": DATA}
    crossed = {"a": DATA, "b": b"abcdefgh"}
    assert found == [straight, crossed, straight, crossed]
    omitted = [pb.FeedBack(output="a", input="b", omitted=True)]
    for reply in steps(session, model, first=inputs, feeds=omitted):
        assert [each.name for each in reply.outputs] == ["b"]


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (pb.FeedBack(output="c", input="a"), "expected the output 'c', which is fed back, got a"),
        (pb.FeedBack(output="a", input="c"), "expected the input 'c', which is fed back"),
        (pb.FeedBack(output="b", input="a"), "'b' (float32 [1]) does not fit the input 'a'"),
        (pb.FeedBack(output="\n" * 300, input="a"), "expected the output '????"),
    ],
    ids=["output", "input", "size", "nonsense"],
)
def test_what_cannot_be_fed_back_ends_the_stream_and_not_the_model(session, feed, said):
    model = session.load()
    first = [tensor(DATA, "a"), tensor(b"1234", "b")]
    failure = refused(
        session,
        pb.FAILURE_INVALID_REQUEST,
        lambda: steps(session, model, first=first, feeds=[feed]),
    )
    assert said in failure.message
    assert len(session.infer(model, 2)) == 2
    request = pb.BenchRequest(model_id=model, inputs=first, iterations=2, feed_back=[feed])
    failure = refused(
        session, pb.FAILURE_INVALID_REQUEST, lambda: list(session.call("Bench", request))
    )
    assert said in failure.message


def test_a_bench_streams_its_phases_samples_and_summary(session):
    model = session.load("run sleep 1\n")
    events = session.bench(model, warmup=2, iterations=300)
    phases = [event.phase for event in events if event.HasField("phase")]
    assert phases == [pb.PHASE_FIRST_RUN, pb.PHASE_RUN]
    groups = [event.samples.ns for event in events if event.HasField("samples")]
    assert len(groups) > 1
    samples = [ns for group in groups for ns in group]
    assert len(samples) == 300
    assert all(ns >= 1_000_000 for ns in samples)
    summary = events[-1].summary
    assert summary.runs == 300
    assert summary.first_run_ns > 0
    assert summary.peak_memory_bytes > 1 << 20


def test_a_profile_streams_its_layers_and_the_whole(session):
    model = session.load("run sleep 1\n")
    events = session.profile(model)
    (layer,) = [event.layer for event in events if event.HasField("layer")]
    assert (layer.name, layer.type, layer.element_bits) == ("only", "Test", 32)
    assert len(layer.ns) == 3
    assert len(events[-1].summary.whole_ns) == 3


def test_a_cancelled_bench_leaves_the_model_usable(session):
    model = session.load("run sleep 1\n")
    request = pb.BenchRequest(model_id=model, inputs=[tensor()], seconds=3600)
    call = session.call("Bench", request)
    while not next(call).HasField("samples"):
        pass
    call.cancel()
    assert len(session.infer(model, 3)) == 3


def test_a_cancelled_stream_leaves_the_model_usable(session):
    model = session.load("run sleep 5\n")
    requests = (pb.InferRequest(model_id=model, inputs=[tensor()]) for _ in range(10000))
    call = session.call("Infer", requests)
    next(call)
    call.cancel()
    assert session.bench(model, iterations=3)[-1].summary.runs == 3


def test_a_cancelled_load_leaves_no_worker(session):
    call = session.call("Load", session.load_request("load hang\n"))
    assert next(call).phase == pb.PHASE_SPAWN
    assert next(call).phase == pb.PHASE_LOAD
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")


def test_one_call_has_a_model_and_another_is_told(session):
    model = session.load()
    calls = session.lock_step(model)
    calls.run()
    failure = refused(
        session, pb.FAILURE_INVALID_REQUEST, lambda: session.bench(model, iterations=1)
    )
    assert "busy with Infer" in failure.message
    calls.run()
    calls.end()
    assert list(calls.replies) == []
    session.bench(model, iterations=1)


def test_models_live_beside_each_other(session):
    first, second = session.load(), session.load()
    assert first != second
    assert len(children(session.pid)) == 2
    one, two = session.lock_step(first), session.lock_step(second)
    for i in range(5):
        assert one.run(b"%08d" % i).outputs[0].data == b"%08d" % i
        assert two.run(b"%08x" % i).outputs[0].data == b"%08x" % i
    one.end()
    two.end()


def test_unload_ends_the_worker_and_the_id(session):
    model = session.load()
    session.call("Unload", pb.UnloadRequest(model_id=model))
    assert children(session.pid) == []
    for call in (
        lambda: session.call("Unload", pb.UnloadRequest(model_id=model)),
        lambda: session.bench(model, iterations=1),
        lambda: session.profile(model),
        lambda: session.infer(model, 1),
    ):
        assert model in refused(session, pb.FAILURE_UNKNOWN_MODEL, call).message


def test_a_stream_keeps_to_one_model(session):
    first, second = session.load(), session.load()
    requests = [pb.InferRequest(model_id=m, inputs=[tensor()]) for m in (first, second)]
    failure = refused(
        session,
        pb.FAILURE_INVALID_REQUEST,
        lambda: list(session.call("Infer", iter(requests))),
    )
    assert second in failure.message
    assert list(session.call("Infer", iter([]))) == []


def test_a_load_that_contradicts_the_contract_is_refused(session):
    sha256 = session.put(b"")
    worker = pb.ModelFile(role="worker", sha256=session.binaries.worker_sha256)
    param = pb.ModelFile(role="param", sha256=sha256)

    def load(**fields):
        return lambda: list(session.call("Load", session.load_request(**fields)))

    invalid = pb.FAILURE_INVALID_REQUEST
    assert "worker" in refused(session, invalid, load(files=[param])).message
    assert "once" in refused(session, invalid, load(files=[worker, param, param])).message
    assert "runtime" in refused(session, invalid, load(runtime="")).message
    assert "'ncnn'" in refused(session, invalid, load(runtime="ncnn")).message
    for sha in ("", "../" + sha256[3:], sha256.upper(), sha256[:-1], "/" + sha256[1:]):
        refused(session, invalid, load(files=[worker, pb.ModelFile(role="p", sha256=sha)]))
    missing = pb.ModelFile(role="param", sha256="0" * 64)
    failure = refused(session, pb.FAILURE_MISSING_FILE, load(files=[worker, missing]))
    assert "push the bundle again" in failure.message
    options = pb.RunOptions(cores=7)
    refused(session, invalid, load(options=options))
    refused(session, invalid, load(watchdog_ms=1 << 62))
    refused(session, invalid, load(prepare_ms=1 << 62))
    assert children(session.pid) == []


def test_a_program_of_another_kind_is_no_worker(session):
    script = session.put(b"#!/bin/sh\necho I am no worker >&2\nexit 0\n")
    (session.work / "store" / script).chmod(0o755)
    files = [pb.ModelFile(role="worker", sha256=script)]
    request = session.load_request(files=files)
    failure = refused(
        session, pb.FAILURE_WORKER_EXITED, lambda: list(session.call("Load", request))
    )
    assert failure.phase == pb.PHASE_SPAWN
    assert "I am no worker" in failure.log_tail
    (session.work / "store" / script).chmod(0o644)
    refused(session, pb.FAILURE_INTERNAL, lambda: list(session.call("Load", request)))
