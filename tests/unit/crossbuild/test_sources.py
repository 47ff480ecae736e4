from __future__ import annotations

import hashlib
import re

import pytest

from deployx_edge.crossbuild.sources import (
    Archive,
    add_archive,
    archives,
    ensure_archives,
    needed_archives,
)
from deployx_edge.errors import SourceError
from deployx_edge.target import find_target

_CONTENT = b"an archive"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))


def _archive(url="https://upstream.invalid/thing.tar.gz"):
    return Archive(filename="thing.tar.gz", sha256=_SHA256, urls=(url,), packages=("thing",))


def test_the_recipes_pin_every_archive():
    found = {archive.filename: archive for archive in archives()}
    assert sorted(found) == [
        "abseil_20220623.1.orig.tar.gz",
        "c-ares_1.18.1.orig.tar.gz",
        "grpc_1.51.1.orig.tar.gz",
        "grpcio-1.51.1.tar.gz",
        "libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb",
        "ncnn-1.0.20261020.tar.gz",
        "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl",
        "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "onnxruntime_qnn-2.7.0-cp311-cp311-manylinux_2_34_aarch64.whl",
        "onnxruntime_qnn-2.7.0-cp311-cp311-manylinux_2_35_x86_64.whl",
        "openvino-2026.4.1-22982-cp311-cp311-manylinux_2_28_x86_64.whl",
        "openvino-2026.4.1-22982-cp311-cp311-manylinux_2_35_aarch64.whl",
        "protobuf_3.21.12.orig.tar.gz",
    ]
    assert found["grpcio-1.51.1.tar.gz"].packages == ("re2", "zlib")
    for archive in found.values():
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256)
        assert all(url.startswith(("https://github.com/", "pkg:")) for url in archive.urls)


def test_a_target_needs_no_archives_of_other_machines_or_runtimes():
    onnxruntime = {
        id: [a.filename for a in needed_archives(find_target(id)) if "onnxruntime" in a.packages]
        for id in ("linux-x64", "linux-arm64", "jetson-arm64", "linux-riscv64", "android-arm64")
    }
    header = "libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb"
    wheel = "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_{}.whl"
    assert onnxruntime == {
        "linux-x64": [header, wheel.format("x86_64")],
        "linux-arm64": [header, wheel.format("aarch64")],
        "jetson-arm64": [header, wheel.format("aarch64")],
        "linux-riscv64": [],
        "android-arm64": [],
    }
    for id in onnxruntime:
        assert "ncnn-1.0.20261020.tar.gz" in [a.filename for a in needed_archives(find_target(id))]


def test_a_file_is_taken_by_its_content_whatever_its_name(tmp_path):
    file = tmp_path / "downloaded (1).gz"
    file.write_bytes(_CONTENT)
    added = add_archive(file, [_archive()])
    assert added.filename == "thing.tar.gz"
    assert added.present
    assert added.path == tmp_path / "cache" / "sources" / "s" / _SHA256
    assert added.path.read_bytes() == _CONTENT
    assert ensure_archives([added]) == ()


def test_the_right_name_with_the_wrong_content_is_refused(tmp_path):
    file = tmp_path / "thing.tar.gz"
    file.write_bytes(b"another archive")
    with pytest.raises(SourceError, match=rf"thing\.tar\.gz should have the sha256 {_SHA256}"):
        add_archive(file, [_archive()])
    assert not _archive().present


def test_content_that_nobody_asks_for_is_refused(tmp_path):
    file = tmp_path / "holiday.jpg"
    file.write_bytes(b"sand")
    with pytest.raises(SourceError, match=r"No recipe asks for holiday\.jpg"):
        add_archive(file, [_archive()])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="There is no file"):
        add_archive(tmp_path / "nothing", [_archive()])


def test_an_archive_comes_from_its_address(tmp_path):
    served = tmp_path / "served.tar.gz"
    served.write_bytes(_CONTENT)
    events = []
    archive = _archive(served.as_uri())
    assert ensure_archives([archive], events.append) == (archive,)
    assert archive.path.read_bytes() == _CONTENT
    assert [event.text for event in events] == [
        "Fetching thing.tar.gz",
        "thing.tar.gz: 0.0 of 0.0 MB",
    ]


def test_a_debian_mirror_serves_computers_without_apt(tmp_path, monkeypatch):
    pool = tmp_path / "debian" / "pool" / "main" / "t" / "thing"
    pool.mkdir(parents=True)
    (pool / "thing.tar.gz").write_bytes(_CONTENT)
    monkeypatch.setenv("DEPLOYX_EDGE_DEBIAN_MIRROR", (tmp_path / "debian").as_uri())
    # A PATH without apt.
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = _archive("pkg:deb/debian/thing@1?arch=source")
    assert ensure_archives([archive]) == (archive,)
    assert archive.path.read_bytes() == _CONTENT


def test_what_cannot_be_had_is_named_with_its_hash_and_the_remedy(tmp_path):
    served = tmp_path / "served.tar.gz"
    served.write_bytes(b"tampered with")
    archive = _archive(served.as_uri())
    with pytest.raises(SourceError) as caught:
        ensure_archives([archive])
    text = str(caught.value)
    assert "thing.tar.gz" in text
    assert _SHA256 in text
    assert hashlib.sha256(b"tampered with").hexdigest() in text
    assert "deployx-edge sources add thing.tar.gz" in text
    assert caught.value.exit_code == 21
    assert list(archive.path.parent.iterdir()) == []
