from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployx_edge.bundle import bundle_digest, load_bundle, safe_name, write_bundle
from deployx_edge.errors import BundleError, DeployxError, UsageError
from tests.unit.models.bundles import bundle_value, sources, written


def manifest(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "bundle" / "bundle.json").read_text())
    return data


def rewrite(folder: Path, data: object) -> Path:
    (folder / "bundle" / "bundle.json").write_text(json.dumps(data))
    return folder / "bundle"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = written(tmp_path)
    assert load_bundle(tmp_path / "bundle") == made
    assert made.path("bin").read_bytes() == b"weights"
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == [
        "bundle.json",
        "tiny.bin",
        "tiny.param",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "sources"]


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    assert bundle_digest(first) == bundle_digest(second)
    assert bundle_digest(written(tmp_path / "c", b"Weights")) != bundle_digest(first)
    assert bundle_digest(replace(first, precision="fp16")) != bundle_digest(first)
    assert len(bundle_digest(first)) == 64


def test_an_altered_byte_is_found(tmp_path: Path) -> None:
    made = written(tmp_path)
    made.path("bin").write_bytes(b"weightz")
    with pytest.raises(BundleError, match=r"'tiny.bin' .* was altered"):
        load_bundle(made.folder)


def test_a_shorter_file_is_found(tmp_path: Path) -> None:
    made = written(tmp_path)
    made.path("bin").write_bytes(b"weight")
    with pytest.raises(BundleError, match="has 6 bytes, its manifest says 7"):
        load_bundle(made.folder)


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    made = written(tmp_path)
    made.path("param").unlink()
    with pytest.raises(BundleError, match=r"lacks its file 'tiny.param'"):
        load_bundle(made.folder)


def test_a_folder_in_place_of_a_file_is_found(tmp_path: Path) -> None:
    made = written(tmp_path)
    made.path("param").unlink()
    made.path("param").mkdir()
    with pytest.raises(BundleError, match="is not a file inside it"):
        load_bundle(made.folder)


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    made = written(tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes(made.path("bin").read_bytes())
    made.path("bin").unlink()
    made.path("bin").symlink_to(outside)
    with pytest.raises(BundleError, match="is not a file inside it"):
        load_bundle(made.folder)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: bundle.json cannot be read"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("schema", [5, 10**30])
def test_a_newer_schema_says_update(tmp_path: Path, schema: int) -> None:
    written(tmp_path)
    data = manifest(tmp_path)
    with pytest.raises(BundleError, match=r"made by a newer deployx-edge.*Update"):
        load_bundle(rewrite(tmp_path, {**data, "schema": schema, "novel": 1}))


@pytest.mark.parametrize("schema", [0, -1, True, 1.0, "1", None, [1]])
def test_no_known_schema(tmp_path: Path, schema: object) -> None:
    written(tmp_path)
    with pytest.raises(BundleError, match="names no schema that this deployx-edge knows"):
        load_bundle(rewrite(tmp_path, {**manifest(tmp_path), "schema": schema}))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../sources/b",
        "a/../../sources/b",
        "",
        ".",
        "./tiny.bin",
        "a//b",
        "bundle.json",
        "..\\b",
        "C:tiny.bin",
        "a\nb",
        "a\0b",
        "x" * 300,
        "\ud800",
    ],
)
def test_paths_that_lead_elsewhere(tmp_path: Path, path: str) -> None:
    written(tmp_path)
    data = manifest(tmp_path)
    data["files"][1]["path"] = path
    with pytest.raises(BundleError):
        load_bundle(rewrite(tmp_path, data))


def _set(*keys: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


WRONG = {
    "name with a slash": _set("name", value="a/b"),
    "unknown runtime": _set("runtime", value="caffe"),
    "unknown precision": _set("precision", value="fp64"),
    "no files": _set("files", value=[]),
    "files no list": _set("files", value={}),
    "same role twice": _set("files", 0, "role", value="bin"),
    "same path twice": _set("files", 0, "path", value="tiny.bin"),
    "negative size": _set("files", 0, "size", value=-1),
    "huge size": _set("files", 0, "size", value=10**400),
    "size as text": _set("files", 0, "size", value="12"),
    "size true": _set("files", 0, "size", value=True),
    "size fractional": _set("files", 0, "size", value=12.0),
    "hash upper case": _set("files", 0, "sha256", value="A" * 64),
    "hash with newline": _set("files", 0, "sha256", value="a" * 64 + "\n"),
    "no inputs": _set("inputs", value=[]),
    "axis of 0": _set("inputs", 0, "shape", value=[1, 0]),
    "axis as text": _set("inputs", 0, "shape", value=["1"]),
    "nine axes": _set("inputs", 0, "shape", value=[1] * 9),
    "batch axis beyond": _set("inputs", 0, "batch_axis", value=4),
    "layout of other rank": _set("inputs", 0, "layout", value="NC"),
    "integer tensor": _set("inputs", 0, "dtype", value="int64"),
    "blob with a space": _set("inputs", 0, "runtime_name", value="in 0"),
    "blob twice": _set("outputs", 0, "runtime_name", value="in0"),
    "stray pre-processing": _set("preprocessing", 0, "input", value="other"),
    "std of 0": _set("preprocessing", 0, "std", value=[1, 0, 1]),
    "two means": _set("preprocessing", 0, "mean", value=[1, 2]),
    "huge mean": _set("preprocessing", 0, "mean", value=[10**400, 1, 1]),
    "width 0": _set("preprocessing", 0, "width", value=0),
    "a detection without boxes": _set("postprocessing", 0, "kind", value="detection"),
    "a classification with masks": _set(
        "postprocessing", 0, "masks", value={"layout": "NHW", "threshold": 0.5}
    ),
    "half a box": _set("postprocessing", 0, "boxes", value={"format": "pairs"}),
    "short without room": _set("preprocessing", 0, "short", value=7),
    "fill 256": _set("preprocessing", 0, "fill", value=256),
    "place up": _set("preprocessing", 0, "place", value="up"),
    "softmax 1": _set("postprocessing", 0, "softmax", value=1),
    "label 1": _set("postprocessing", 0, "labels", value=[1]),
    "tools list": _set("provenance", "tools", value=[]),
    "tool number": _set("provenance", "tools", "pnnx", value=1),
    "status": _set("provenance", "verification", "status", value="fine"),
    "verdict": _set("provenance", "verification", "outputs", 0, "verdict", value="ok"),
    "unknown field": _set("novel", value=1),
    "unknown field inside": _set("inputs", 0, "novel", value=1),
}


@pytest.mark.parametrize("name", WRONG)
def test_manifests_that_are_not_of_the_schema(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    data = manifest(tmp_path)
    WRONG[name](data)
    with pytest.raises(BundleError):
        load_bundle(rewrite(tmp_path, data))


def test_every_field_is_needed(tmp_path: Path) -> None:
    written(tmp_path)
    whole = manifest(tmp_path)
    count = 0
    for keys in list(_objects(whole, ())):
        for field in list(_at(whole, keys)):
            if keys == ("provenance", "tools"):
                continue
            data = copy.deepcopy(whole)
            del _at(data, keys)[field]
            with pytest.raises(BundleError):
                load_bundle(rewrite(tmp_path, data))
            count += 1
    assert count == 76  # as many as docs/bundle.md lists, tensors and files twice


def _objects(data: Any, keys: tuple[str | int, ...]) -> Any:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    if isinstance(data, dict):
        yield keys
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from _objects(value, (*keys, key))


def _at(data: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        data = data[key]
    return data


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"schema": NaN}',
        b'{"schema": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema": 1, "schema": 1}',
    ],
)
def test_text_that_is_no_manifest(tmp_path: Path, text: bytes) -> None:
    written(tmp_path)
    (tmp_path / "bundle" / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError):
        load_bundle(tmp_path / "bundle")


_HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), -1e308, "", "x" * 10_000,
    "\0", "\ud800", "../x", "/", [], {}, [[]], [None] * 5000, {"a": {"a": {}}}, "bin", "in0",
)  # fmt: skip


def _mutate(generator: random.Random, data: Any) -> None:
    """Change one place of a JSON value, anywhere in it."""
    places = [
        (_at(data, keys), key) for keys in _containers(data, ()) for key in _keys(_at(data, keys))
    ]
    container, key = generator.choice(places)
    action = generator.randrange(4)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, dict):
        container[generator.choice(["x", "", "schema", "path", "\ud800"])] = container[key]
    elif action == 2 and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        container[key] = copy.deepcopy(generator.choice(_HOSTILE))


def _keys(container: Any) -> list[Any]:
    return list(container) if isinstance(container, dict) else list(range(len(container)))


def _containers(data: Any, keys: tuple[str | int, ...]) -> Any:
    yield keys
    for key in _keys(data):
        if isinstance(data[key], (dict, list)) and data[key]:
            yield from _containers(data[key], (*keys, key))


def test_mutated_manifests_end_in_bundle_errors_only(tmp_path: Path) -> None:
    original = written(tmp_path)
    whole = manifest(tmp_path)
    generator = random.Random(20261121)
    refused = 0
    for _ in range(1500):
        data = copy.deepcopy(whole)
        for _ in range(generator.randint(1, 3)):
            _mutate(generator, data)
        try:
            read = load_bundle(rewrite(tmp_path, data))
        except BundleError as error:
            assert "\n" not in str(error)
            refused += 1
        else:  # what is accepted is whole, and safe to write again
            assert read.path("bin").resolve().is_relative_to(original.folder)
            bundle_digest(read)
    assert refused > 1250


def test_mutated_bytes_end_in_bundle_errors_only(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "bundle" / "bundle.json"
    whole = path.read_bytes()
    generator = random.Random(20261122)
    refused = 0
    for _ in range(1500):
        text = bytearray(whole)
        for _ in range(generator.randint(1, 8)):
            place = generator.randrange(len(text))
            if generator.random() < 0.5:
                text[place] = generator.randrange(256)
            else:
                del text[place : place + generator.randint(1, 40)]
        path.write_bytes(bytes(text))
        try:
            load_bundle(tmp_path / "bundle")
        except BundleError:
            refused += 1
    assert refused > 1000


def test_a_bundle_is_replaced_by_another(tmp_path: Path) -> None:
    written(tmp_path)
    again = written(tmp_path, b"other weights")
    assert load_bundle(tmp_path / "bundle") == again
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "sources"]


def test_a_damaged_bundle_is_replaced(tmp_path: Path) -> None:
    made = written(tmp_path)
    made.path("bin").unlink()
    written(tmp_path)
    load_bundle(made.folder)


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    load_bundle(written(tmp_path).folder)


def _a_note(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _a_broken_manifest(folder: Path) -> None:
    (folder / "bundle.json").write_text("{}")
    _a_note(folder)


def _a_bundle_with_a_note(folder: Path) -> None:
    folder.rmdir()
    written(folder.parent)
    _a_note(folder)


@pytest.mark.parametrize("fill", [_a_note, _a_broken_manifest, _a_bundle_with_a_note])
def test_what_the_user_had_stays(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    fill(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match="-o"):
        written(tmp_path, b"new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "sources"]


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(UsageError, match="is not a folder"):
        written(tmp_path)
    assert (tmp_path / "bundle").read_text() == "mine"


def test_nothing_is_left_when_a_source_changes_underneath(tmp_path: Path) -> None:
    files = sources(tmp_path / "sources")
    value = bundle_value(tmp_path, files)
    files["tiny.bin"].write_bytes(b"changed")
    with pytest.raises(BundleError, match="was altered"):
        write_bundle(value, files, tmp_path / "bundle")
    assert [p.name for p in tmp_path.iterdir()] == ["sources"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    files = sources(tmp_path / "sources")
    with pytest.raises(DeployxError, match="cannot be written"):
        write_bundle(
            bundle_value(tmp_path, files), files, tmp_path / "sources" / "p" / "x" / "bundle"
        )


@pytest.mark.parametrize(
    ("text", "name"),
    [("model", "model"), ("a b/c", "a_b_c"), ("é", "_é_"), ("..", "model"), ("x" * 300, "x" * 128)],
)
def test_safe_names(text: str, name: str) -> None:
    wanted = "model" if name == "_é_" else name
    assert safe_name(text) == wanted
    assert os.sep not in safe_name(text)
