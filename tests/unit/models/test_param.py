from __future__ import annotations

import random
from pathlib import Path

import pytest

from deployx_edge.errors import ModelError
from deployx_edge.runtimes.ncnn.files import Layer, read_param, stored_precision

PARAM = """7767517
3 3
Input            in0        0 1 in0 0=8 1=6 2=3
Split            split_0    1 2 in0 1 2
BinaryOp         add_0      2 1 1 2 out0 0=0 -23303=4,0,1,2,3 6="0w,-1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "m.param"
    path.write_text(text)
    return path


def test_layers_are_read(tmp_path: Path) -> None:
    layers = read_param(written(tmp_path, PARAM))
    assert [layer.type for layer in layers] == ["Input", "Split", "BinaryOp"]
    assert layers[2] == Layer(
        type="BinaryOp",
        name="add_0",
        bottoms=("1", "2"),
        tops=("out0",),
        params=((0, "0"), (-23303, "4,0,1,2,3"), (6, '"0w,-1"')),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its first line is not 7767517"),
        ("7767516\n", "its first line is not 7767517"),
        ("7767517\n", "not a whole ncnn .param file"),
        ("7767517\nx y\n", "not a whole ncnn .param file"),
        ("7767517\n2 1\nInput in0 0 1 in0\n", "announces 2 layers and holds 1"),
        ("7767517\n1 1\nInput in0 0 1\n", "'in0' is cut off"),
        ("7767517\n1 1\nInput in0 0\n", "not a whole ncnn .param file"),
        ("7767517\n1 1\nInput in0 -1 1 a\n", "'in0' is cut off"),
        ("7767517\n1 1\nInput in0 0 1 in0 x=1\n", "not a whole ncnn .param file"),
    ],
)
def test_files_that_are_not_whole(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_param(written(tmp_path, text))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "m.param"
    path.write_bytes(b"7767517\n\xff\xfe\x00")
    with pytest.raises(ModelError, match="is not text"):
        read_param(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_param(tmp_path / "absent.param")


def test_mutated_files_end_in_model_errors_only(tmp_path: Path) -> None:
    generator = random.Random(20261121)
    path = tmp_path / "m.param"
    for _ in range(2000):
        content = bytearray(PARAM.encode())
        for _ in range(generator.randint(1, 6)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(bytes(content))
        try:
            read_param(path)
        except ModelError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "precision"),
    [
        (b"", "fp32"),
        (b"\0\0\0\0", "fp32"),
        (b"\x47\x6b\x30\x01rest", "fp16"),
        (b"\x38\x4b\x0d\x00", "int8"),
        (b"\x00\x00\x80\x3f", "fp32"),
    ],
)
def test_the_stored_precision_is_read_from_the_first_tag(
    tmp_path: Path, content: bytes, precision: str
) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(content)
    assert stored_precision(path) == precision
