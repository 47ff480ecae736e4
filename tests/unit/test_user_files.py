"""Files that anybody may have written: each reader ends, in one sentence and little memory."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from deployx_edge.bundle import load_bundle
from deployx_edge.bundle.sequence import load_sequence
from deployx_edge.config import load_config
from deployx_edge.crossbuild.finished import read_build
from deployx_edge.crossbuild.sysroot import read_sysroot
from deployx_edge.errors import DeployxError
from deployx_edge.evaluation.data.coco import read_coco
from deployx_edge.evaluation.data.dataset_yaml import read_description
from deployx_edge.evaluation.data.lists import read_list
from deployx_edge.files import parse_toml, parse_yaml
from deployx_edge.measurement.files import read_runs
from deployx_edge.processing.preprocessing import open_image, read_content
from deployx_edge.processing.steps import step_texts
from deployx_edge.quantization.report import calibration_hashes
from deployx_edge.resources import cache_folder, dist_folder
from deployx_edge.runtimes.ncnn.files import read_param, read_table
from deployx_edge.transport.local.folders import local_work_folder
from deployx_edge.workflows.boards.registry import add_device
from deployx_edge.workflows.convert.bundle import make_bundle

_PATIENCE = 60
_MIB = 1 << 20
"""Memory that a reader may take of a file that it refuses."""
_LITTLE = 64 * _MIB


def told(read: Callable[[], object]) -> str:
    """The one sentence of a reader, which must end."""
    errors: list[str] = []

    def run() -> None:
        with pytest.raises(DeployxError) as caught:
            read()
        errors.append(str(caught.value))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    assert errors, "no error was told"
    assert "\n" not in errors[0]
    assert len(errors[0]) < 1000
    return errors[0]


def told_in_little_memory(read: Callable[[], object]) -> str:
    tracemalloc.start()
    try:
        error = told(read)
        assert tracemalloc.get_traced_memory()[1] < _LITTLE
    finally:
        tracemalloc.stop()
    return error


# Each reads the file that it is given; those of a folder read one of that name in it.
READERS: dict[str, Callable[[Path], object]] = {
    "bundle.json": lambda path: load_bundle(path.parent),
    "sequence.json": lambda path: load_sequence(path.parent),
    "build.json": lambda path: read_build(path.parent),
    "sysroot.json": lambda path: read_sysroot(path.parent),
    "runs.json": read_runs,
    "coco.json": lambda path: read_coco(
        path, [], cast(Any, None), images=None, masks=False, labelled=True
    ),
    "quantization.json": calibration_hashes,
    "dataset.yaml": read_description,
    "steps.yaml": lambda path: step_texts([str(path)]),
    "list.csv": lambda path: read_list(path, labelled=True),
    "model.param": read_param,
    "model.table": read_table,
    "arrays.npz": read_content,
    "image.png": open_image,
    "model.onnx": make_bundle,
}


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_or_a_device_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    words = {"pipe": "named pipe", "device": "a device"}[kind]
    assert words in told_in_little_memory(lambda: READERS[name](path))


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith("json")])
def test_deep_json_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("[" * 100_000)
    assert "nested too deeply" in told_in_little_memory(lambda: READERS[name](path))
    path.write_text('{"schema": 4, "x": ' + "[" * 100_000)
    assert "nested too deeply" in told_in_little_memory(lambda: READERS[name](path))


TOML = {
    "arrays": "x = " + "[" * 100_000,
    "tables": "x = " + "{a = " * 100_000,
    "keys": ".".join(["a"] * 20_000) + " = 1",
    "quoted keys": "['a'" + ' . "b"' * 20_000 + "]",
    "size": "#" * (4 * _MIB),
    "digits": "keep_mib = " + "1" * 100_000,
}


@pytest.mark.parametrize("kind", TOML)
def test_toml_without_bounds_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "deployx.toml").write_text(TOML[kind])
    told_in_little_memory(lambda: load_config(tmp_path))


def test_a_device_is_not_added_to_deep_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "deployx-edge" / "deployx.toml"
    file.parent.mkdir()
    file.write_text(TOML["arrays"])
    told(lambda: add_device("pi", "ssh:pi@192.0.2.7", probe=False))
    assert file.read_text() == TOML["arrays"]


def test_toml_that_people_write_is_read() -> None:
    text = '[devices."board.of.ann"]\nuri = "ssh:pi@' + ".".join(["a"] * 60) + '"\n'
    assert parse_toml(text)["devices"]["board.of.ann"]["uri"].endswith("a.a")


LAUGHS = "a: &a0 [x]\n" + "".join(f"b{i}: &a{i + 1} [{f'*a{i}, ' * 9}]\n" for i in range(12))
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i + 1}: &a{i + 1} {{<<: [{f'*a{i}, ' * 9}], y{i}: 1}}\n" for i in range(12)
)
YAML = {
    "deep": "[" * 100_000,
    "laughs": LAUGHS,
    "merges": MERGES,
    "endless": "a: &a [*a]",
    "date": "a: 2026-99-99",
    "named date": "a: !!timestamp foo",
    "object": "a: !!python/object/apply:os.getcwd []",
    "size": "#" * (4 * _MIB),
}


@pytest.mark.parametrize("kind", YAML)
@pytest.mark.parametrize("name", ["dataset.yaml", "steps.yaml"])
def test_yaml_without_bounds_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(YAML[kind])
    told_in_little_memory(lambda: READERS[name](path))


def test_yaml_that_people_write_is_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}
    assert parse_yaml("") is None


def _header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"shape": shape, "fortran_order": False, "descr": dtype}
    )
    return stream.getvalue()


def _archive(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _bomb(path: Path) -> Path:
    """A third of a GiB of zeros in a few hundred KB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("image.npy", "w") as entry,
    ):
        entry.write(_header((85 * _MIB,)))
        for _ in range(340):
            entry.write(bytes(_MIB))
    return path


def _sparse(path: Path) -> Path:
    """An archive whose array would be there, were it not a hole of a hundred TiB."""
    _archive(path, image=_header((1,)) + bytes(4))
    content = bytearray(path.read_bytes())
    place = content.rfind(b"PK\x01\x02")  # its entry in the directory, see APPNOTE 4.3.12
    content[place + 20 : place + 28] = b"\xfe\xff\xff\xff\xfe\xff\xff\xff"
    path.write_bytes(content)
    return path


NPZ: dict[str, Callable[[Path], Path]] = {
    "a bomb": _bomb,
    "a length that lies": _sparse,
    "a shape that lies": lambda path: _archive(path, image=_header((10**12,)) + bytes(64)),
    "a shape below zero": lambda path: _archive(path, image=_header((-1, -1)) + bytes(4)),
    "a shape beyond numbers": lambda path: _archive(path, image=_header((10**30, 10**30))),
    "much of nothing": lambda path: _archive(path, image=_header((10**12, 0))),
    "texts of nothing": lambda path: _archive(path, image=_header((10**12,), "<U0")),
    "a deep header": lambda path: _archive(path, image=b"\x93NUMPY\x01\x00\x88\x13" + b"(" * 5000),
    "no array": lambda path: _archive(path, image=b"hello"),
    "an array alone": lambda path: _written(path, _header((10**12,))),
    "objects": lambda path: _archive(path, image=_header((1,), "|O") + b"."),
    "too many": lambda path: _archive(path, **{f"a{i}": b"" for i in range(10_001)}),
}


@pytest.mark.parametrize("kind", NPZ)
def test_arrays_that_lie_are_refused_before_they_take_memory(kind: str, tmp_path: Path) -> None:
    path = NPZ[kind](tmp_path / "arrays.npz")
    assert "cannot be read as .npz" in told_in_little_memory(lambda: read_content(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_that_people_write_are_read(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    given = {
        "image": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "labels": np.array(["cat", "dog"]),
        "none": np.zeros((0, 3)),
        "scalar": np.int64(3),
        "mask": np.zeros((16, 1024, 1024), np.uint8),
    }
    save(path, **given)
    found = read_content(path)
    assert list(found) == list(given)
    for name, array in given.items():
        assert np.array_equal(found[name], array)


def test_a_home_folder_that_is_nobody_s_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "~nosuch-user-of-ours/x"
    file = tmp_path / "deployx.toml"
    file.write_text(f'[devices.pi]\nuri = "local:"\nssh_config = "{nowhere}"')
    assert "devices.pi.ssh_config" in told(lambda: load_config(tmp_path))
    file.write_text('[devices.pi]\nuri = "local:"\nwork_folder = "/\\u0000"')
    assert "devices.pi.work_folder" in told(lambda: load_config(tmp_path))
    assert nowhere in told(lambda: local_work_folder(nowhere, tmp_path))
    file.write_text(f'[toolchains.android]\nndk = "{nowhere}"')
    assert "toolchains.android.ndk" in told(lambda: load_config(tmp_path))
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", nowhere)
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", nowhere)
    assert nowhere in told(cache_folder)
    assert nowhere in told(lambda: dist_folder("linux-x64"))
