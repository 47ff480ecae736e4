"""Where the adb server listens, what it lists, and what is said of each state."""

from __future__ import annotations

import re

import pytest

from deployx_edge.errors import AuthenticationError, TransportError, UsageError
from deployx_edge.transport.adb.finding import not_ready
from deployx_edge.transport.adb.server import (
    KnownDevice,
    ServerAddress,
    read_devices,
    server_address,
)

# As adb 29.0.6 prints them.
LISTED = """\
0123456789ABCDEF       device usb:1-2 product:oriole model:Pixel_6 device:oriole transport_id:3
emulator-5554          offline transport_id:1
192.0.2.7:5555         unauthorized transport_id:12
FA6A70300000           no permissions (user in plugdev group; are your udev rules wrong?); \
see [http://developer.android.com/tools/device.html] usb:3-1 transport_id:7
"""


def test_the_list_of_devices() -> None:
    found = {device.serial: (device.state, device.transport_id) for device in read_devices(LISTED)}
    assert found["0123456789ABCDEF"] == ("device", 3)
    assert found["emulator-5554"] == ("offline", 1)
    assert found["192.0.2.7:5555"] == ("unauthorized", 12)
    state, number = found["FA6A70300000"]
    assert state.startswith("no permissions (user in plugdev group")
    assert number == 7
    assert read_devices("") == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "5999"}, ("127.0.0.1", 5999)),
        ({"ANDROID_ADB_SERVER_ADDRESS": "192.0.2.9"}, ("192.0.2.9", 5037)),
        ({"ADB_SERVER_SOCKET": "tcp:6000"}, ("127.0.0.1", 6000)),
        (
            {"ADB_SERVER_SOCKET": "tcp:lab:6001", "ANDROID_ADB_SERVER_PORT": "5999"},
            ("lab", 6001),
        ),
    ],
)
def test_where_the_server_listens(
    variables: dict[str, str], expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _clear(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert server_address() == ServerAddress(host=expected[0], port=expected[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANDROID_ADB_SERVER_PORT", "many"),
        ("ANDROID_ADB_SERVER_PORT", "70000"),
        ("ADB_SERVER_SOCKET", "localfilesystem:/tmp/adb"),
        ("ADB_SERVER_SOCKET", "tcp:host:"),
        ("ADB_SERVER_SOCKET", "tcp:[::1]:6002"),
    ],
)
def test_an_address_that_is_none(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _clear(monkeypatch)
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=re.escape(value)):
        server_address()


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("unauthorized", "Always allow"),
        ("authorizing", "Always allow"),
        ("offline", "adb reconnect offline"),
        ("no permissions (missing udev rules?)", "udev"),
        ("bootloader", "fastboot reboot"),
        ("recovery", "adb reboot"),
        ("sideload", "adb reboot"),
        ("something new", "adb devices -l"),
    ],
)
def test_every_state_is_explained(state: str, remedy: str) -> None:
    error = not_ready(KnownDevice(serial="PHONE", state=state, transport_id=1))
    assert "PHONE" in error.message
    assert state in error.message
    assert remedy in error.remedy
    refused = state in ("unauthorized", "authorizing")
    assert type(error) is (AuthenticationError if refused else TransportError)


def _clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
