"""Whatever bytes come as requests, they end in errors or answers; the agent serves on."""

from __future__ import annotations

import random
import socket

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import tensor
from tests.integration.processes import children

ROUNDS = 150
SERVICE = "/deployx.agent.v1.Agent/"
CALLS = ["Handshake", "Describe", "Heartbeat", "Load", "Infer", "Bench", "Profile", "Unload"]


def passed(data):
    return data


def seeds(session, model):
    """A good request of each call, which mutations start from."""
    inputs = [tensor(), pb.Tensor(name="x", dims=[-1, 1 << 62], data=b"\0" * 40, batched=True)]
    return {
        "Handshake": pb.HandshakeRequest(host_version="x", protocol_version=1),
        "Describe": pb.DescribeRequest(),
        "Heartbeat": pb.HeartbeatRequest(),
        "Load": session.load_request("load fail\n", outputs=["a", "b"], watchdog_ms=5000),
        "Infer": pb.InferRequest(model_id=model, sequence=2**64 - 1, inputs=inputs),
        "Bench": pb.BenchRequest(model_id=model, inputs=inputs, iterations=2),
        "Profile": pb.ProfileRequest(model_id=model, inputs=inputs, iterations=2),
        "Unload": pb.UnloadRequest(model_id="m99"),
    }


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(0, 4)):
        at = dice.randint(0, len(changed))
        kind = dice.randint(0, 3)
        if kind == 0 and changed:
            changed[at % len(changed)] = dice.randint(0, 255)
        elif kind == 1:
            changed[at:at] = dice.randbytes(dice.randint(1, 12))
        elif kind == 2:
            del changed[at : at + dice.randint(1, 8)]
        else:
            changed = changed[:at]
    return bytes(changed)


def call_raw(session, name, bodies):
    """One call with these bytes as its requests; gives its status."""
    timeout = 20
    if name == "Infer":
        method = session.channel.stream_stream(SERVICE + name, passed, passed)
        call = method(iter(bodies), metadata=session.metadata, timeout=timeout)
    elif name in ("Load", "Bench", "Profile"):
        method = session.channel.unary_stream(SERVICE + name, passed, passed)
        call = method(bodies[0], metadata=session.metadata, timeout=timeout)
    else:
        method = session.channel.unary_unary(SERVICE + name, passed, passed)
        call = iter([method(bodies[0], metadata=session.metadata, timeout=timeout)])
    for _ in call:
        pass


@pytest.mark.parametrize("name", CALLS)
def test_mutated_requests_end_in_errors_or_answers(session, name):
    dice = random.Random(f"deployx {name}")
    model = session.load()
    seed = seeds(session, model)[name].SerializeToString()
    for _ in range(ROUNDS):
        bodies = [mutated(seed, dice) for _ in range(dice.randint(1, 3))]
        try:
            call_raw(session, name, bodies)
        except grpc.RpcError as error:
            assert error.code() != grpc.StatusCode.UNAVAILABLE, error.details()
    session.shake()
    assert len(session.infer(model, 2)) == 2
    assert len(children(session.pid)) >= 1


def test_an_unknown_call_is_refused(session):
    with pytest.raises(grpc.RpcError) as caught:
        call_raw(session, "Execute", [b""])
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_http_do_no_harm(session):
    dice = random.Random(2)
    starts = [b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    for round_number in range(60):
        with socket.create_connection(("127.0.0.1", session.port)) as link:
            link.sendall(starts[round_number % 3] + dice.randbytes(dice.randint(0, 3000)))
    session.shake()
