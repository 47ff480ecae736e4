"""A host and an agent of different builds refuse each other by name, whichever is the older."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from deployx_edge import __version__
from deployx_edge.agent.client import PROTOCOL_VERSION, AgentClient
from deployx_edge.agent.v1 import agent_pb2, agent_pb2_grpc
from deployx_edge.errors import VersionError


class _ForgivingAgent(agent_pb2_grpc.AgentServicer):
    """An agent that takes every host, as one of the far past might."""

    def __init__(self, version: str, protocol: int) -> None:
        self.reply = agent_pb2.HandshakeReply(agent_version=version, protocol_version=protocol)

    def Handshake(self, request, context):  # noqa: N802 (gRPC's name)
        return self.reply


@pytest.mark.parametrize(
    ("version", "protocol"),
    [(__version__, PROTOCOL_VERSION - 1), ("0.0.1", PROTOCOL_VERSION), ("9.0", 99)],
)
def test_the_host_refuses_an_agent_of_another_build(version, protocol):
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    agent_pb2_grpc.add_AgentServicer_to_server(_ForgivingAgent(version, protocol), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with AgentClient(port, "token") as client, pytest.raises(VersionError) as caught:
            client.open()
    finally:
        server.stop(None).wait()
    message = caught.value.message
    assert f"The agent is of version {version} and protocol {protocol}" in message
    assert f"this computer of version {__version__} and protocol {PROTOCOL_VERSION}" in message
    assert "Build the target again" in caught.value.remedy


def test_an_agent_refuses_a_host_of_another_build(start):
    agent = start()  # it calls itself 0.0.0-test
    with AgentClient(agent.port, agent.token) as client, pytest.raises(VersionError) as caught:
        client.open()
    message = caught.value.message
    assert f"of version {agent.binaries.version} and protocol {PROTOCOL_VERSION}" in message
    assert f"the host of version '{__version__}' and protocol {PROTOCOL_VERSION}" in message
    assert "build --target linux-x64" in message
