"""The adb server's protocol over a real socket, also with answers that are none."""

import socket
import threading
from contextlib import closing

import pytest

from deployx_edge.transport.adb.connection import AdbConnection, AdbError


@pytest.fixture
def ask():
    """Sends one request to a server that gives these bytes and ends; what ``read`` makes of it."""

    def asked(answer, read):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve():
                peer, _ = server.accept()
                with peer:
                    taken.append(peer.recv(100))
                    peer.sendall(answer)

            taken = []
            thread = threading.Thread(target=serve)
            thread.start()
            connection = AdbConnection("127.0.0.1", server.getsockname()[1], 10)
            with closing(connection.conn):
                connection.send_command("host:vérsion")
                try:
                    return read(connection)
                finally:
                    thread.join()
                    assert taken == [b"000d" + "host:vérsion".encode()]

    return asked


def test_yes_a_block_and_no(ask):
    def okay_and_block(connection):
        connection.check_okay()
        return connection.read_string_block()

    assert ask(b"OKAY0006\xc3\xa9 \xff42", okay_and_block) == "é \ufffd42"
    with pytest.raises(AdbError, match=r"^device offline$"):
        ask(b"FAIL000edevice offline", AdbConnection.check_okay)


@pytest.mark.parametrize("length", [b"-001", b" 1f ", b"+01f", b"1_00", "²²".encode(), b"zzzz"])
def test_a_length_that_is_none(ask, length):
    with pytest.raises(AdbError, match="expected a length of four digits"):
        ask(length + b"x" * 300, AdbConnection.read_string_block)


@pytest.mark.parametrize("answer", [b"", b"OK"])
def test_an_answer_that_ends_early_is_no_no(ask, answer):
    with pytest.raises(EOFError):
        ask(answer, AdbConnection.check_okay)


def test_an_answer_of_other_words(ask):
    with pytest.raises(AdbError, match="expected OKAY or FAIL, found b'HTTP'"):
        ask(b"HTTP/1.1 400", AdbConnection.check_okay)


def test_a_block_that_ends_early(ask):
    with pytest.raises(EOFError, match="2 of 16 bytes"):
        ask(b"0010ab", AdbConnection.read_string_block)
