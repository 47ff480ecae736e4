"""What folders of operators say of themselves, and what is wrong with one that is broken."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from deployx_edge import operator_facts
from deployx_edge.errors import BuildError, MissingToolError, UsageError
from deployx_edge.graph.built_kernels import refuse_stale
from deployx_edge.operator_facts import (
    all_operators,
    find_operator,
    forget_operators,
    operator_named,
    operator_of_layer,
)
from deployx_edge.operator_file import misfit, read_operator
from deployx_edge.resources import host_target_id

FACTS = """
operator = "Shift"
domain = "my"
opset = 1
aliases = ["their::Shift"]
runtimes = ["ncnn"]
source = "https://example.org"

[[inputs]]
name = "x"
type = "T"

[[inputs]]
name = "mask"
type = "bool"
optional = true

[[outputs]]
name = "y"
type = "T"

[[attributes]]
name = "by"
type = "float"
default = 1

[[attributes]]
name = "mode"
type = "choice"
values = ["up", "down"]
default = "down"
before = { opset = 20, value = "up" }

[[attributes]]
name = "axes"
type = "ints"
"""


def write(folder: Path, text: str = FACTS, files: tuple[str, ...] = ("ncnn.cpp",)) -> Path:
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("")
    (folder / "op.toml").write_text(text)
    return folder / "op.toml"


def test_facts_are_read(tmp_path: Path) -> None:
    facts = read_operator(write(tmp_path / "shift"))
    assert (facts.name, facts.title, facts.layer_type) == ("shift", "my::Shift", "dx.shift")
    assert facts.names == (("my", "Shift"), ("their", "Shift"))
    assert [(port.name, port.type, port.optional) for port in facts.inputs] == [
        ("x", "T", False),
        ("mask", "bool", True),
    ]
    assert [(each.name, each.default) for each in facts.attributes] == [
        ("by", 1),
        ("mode", "down"),
        ("axes", None),
    ]
    assert [each.before for each in facts.attributes] == [None, (20, "up"), None]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('operator = "Shift"', 'operator = "a b"', "'my::a b' is not a domain and an operator"),
        ('operator = "Shift"\n', "", '"operator" does not say what models call it'),
        ('operator = "Shift"', "operator = true", '"operator" is not a text'),
        ('domain = "my"', "domain = 5", '"domain" is not a text'),
        ('domain = "my"', 'domain = "com.microsoft"', "of a domain of ONNX Runtime's own"),
        ('domain = "my"', 'domain = "ai.onnx.ml"', "of a domain of ONNX Runtime's own"),
        ("their::Shift", "my::Shift", '"aliases" with the operator itself has my::Shift twice'),
        ('["ncnn"]', '["ncnn", "ncnn"]', '"runtimes" has ncnn twice'),
        ("default = 1", "default = nan", '"default" of by is not of the type float'),
        ("default = 1", "default = -inf", '"default" of by is not of the type float'),
        (
            'type = "float"\ndefault = 1',
            'type = "int"\ndefault = 2147483648',
            '"default" of by is not of the type int',
        ),
        ('["up", "down"]', '["up", "down", "up"]', '"values" of mode has up twice'),
        ('["up", "down"]', '["up", "down", "a|b"]', 'a "values" of mode has a "|"'),
        (
            '[[outputs]]\nname = "y"',
            '[[outputs]]\nname = "y"\ntype = "T"\n\n[[outputs]]\nname = "y"',
            "an output is listed twice",
        ),
        ('name = "axes"', 'name = "mask"', "an input and an attribute are both called mask"),
        ("opset = 1", "opset = 0", '"opset" is not a positive whole number'),
        ("opset = 1", "opset = 2", '"opset" is 2, but only ONNX\'s own domain has several'),
        ('source = "https://example.org"', "", '"source" does not say where it is defined'),
        ('aliases = ["their::Shift"]', 'aliases = ["Shift"]', "'Shift' is not a domain and"),
        ('runtimes = ["ncnn"]', "runtimes = []", '"runtimes" does not name ncnn, which has a file'),
        ('["ncnn"]', '["ncnn", "other"]', '"runtimes" names other, but there is no other.cpp'),
        ('type = "bool"', 'type = "string"', '"type" of mask is none of T, float32'),
        ("default = 1", 'default = "1"', '"default" of by is not of the type float'),
        ('default = "down"', 'default = "left"', '"default" of mode is not of the type choice'),
        *(
            (
                '{ opset = 20, value = "up" }',
                text,
                '"before" of mode is not { opset = 16, value = "some choice" }',
            )
            for text in (
                "3",
                "{ opset = 16 }",
                '{ opset = "16", value = "up" }',
                '{ opset = 16, value = "left" }',
                '{ opset = 16, value = "up", since = 1 }',
            )
        ),
        ('type = "ints"', 'type = "ints"\nvalues = ["a"]', 'only a choice has "values"; see axes'),
        ('name = "axes"', 'name = "by"', "an attribute is listed twice"),
        ("opset = 1", 'opset = 1\nversion = "2"', 'it has an unknown member "version"'),
        ("optional = true", "optinal = true", 'an unknown member "optinal"'),
        ("[[outputs]]", "[[inputs]]", "it has no [[inputs]] or no [[outputs]]"),
        ("[[outputs]]", "[[outputs]", "cannot be used"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in FACTS
    path = write(tmp_path / "shift", FACTS.replace(old, new))
    with pytest.raises(BuildError, match=re.escape(says)) as raised:
        read_operator(path)
    assert str(path) in str(raised.value)
    assert "docs/adding-an-op.md" in raised.value.remedy


def test_a_folder_has_a_name_that_is_a_word(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="'My-Shift' is not of lower case letters"):
        read_operator(write(tmp_path / "My-Shift"))


@pytest.fixture
def operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of operators in the place of the project's."""
    monkeypatch.setattr(operator_facts, "operators_folder", lambda: tmp_path)
    forget_operators()
    yield tmp_path
    forget_operators()


def test_operators_are_found_by_what_models_call_them(operators: Path) -> None:
    write(operators / "shift")
    write(operators / "turn", FACTS.replace("Shift", "Turn").replace('"my"', '""'))
    assert list(all_operators()) == ["shift", "turn"]
    for domain, operator, name in (
        ("my", "Shift", "shift"),
        ("their", "Shift", "shift"),
        ("", "Turn", "turn"),
        ("ai.onnx", "Turn", "turn"),
    ):
        found = find_operator(domain, operator)
        assert found is not None and found.name == name
    assert find_operator("", "Shift") is None
    assert operator_named("their::Turn").name == operator_named("turn").name == "turn"
    with pytest.raises(UsageError, match=r"no operator 'shfit' .* Did you mean shift"):
        operator_named("shfit")


def test_two_operators_of_one_name_are_refused(operators: Path) -> None:
    write(operators / "shift")
    write(operators / "turn", FACTS.replace('"Shift"', '"Turn"'))
    with pytest.raises(BuildError, match="in ops/shift and ops/turn are both called"):
        all_operators()


def test_those_of_this_project_without_a_domain_are_onnxs() -> None:
    import onnx

    names = [name for facts in all_operators().values() for name in facts.names]
    assert [name for domain, name in names if not domain and not onnx.defs.has(name, "")] == []


def test_layers_name_their_operator() -> None:
    assert operator_of_layer("dx.top_k") == "top_k"
    assert operator_of_layer("Convolution") == ""
    assert {"top_k", "gather_elements", "deform_conv"} <= set(all_operators())


@pytest.mark.parametrize(
    ("given", "attributes", "says"),
    [
        ((True,), {}, ""),
        ((True, True), {"by": 2, "mode": "up", "axes": (0, 1)}, ""),
        ((True, False), {"by": np.int64(2), "mode": b"down", "axes": []}, ""),
        ((True, True, True), {}, "it has 3 inputs, op.toml names 2"),
        ((False, True), {}, "its input 'x' is left out"),
        ((), {}, "its input 'x' is left out"),
        ((True,), {"to": 1}, "its attribute 'to' is not in op.toml"),
        ((True,), {"axes": [1.5]}, r"its attribute 'axes' is \[1.5\], op.toml says ints"),
        ((True,), {"by": [1]}, r"its attribute 'by' is \[1\], op.toml says float"),
        ((True,), {"by": "1"}, "its attribute 'by' is '1', op.toml says float"),
        ((True,), {"axes": 1}, "its attribute 'axes' is 1, op.toml says ints"),
        ((True,), {"axes": "01"}, "its attribute 'axes' is '01', op.toml says ints"),
        ((True,), {"mode": b"left"}, "its attribute 'mode' is 'left', not one of"),
        ((True,), {"mode": 1}, "its attribute 'mode' is '1', not one of"),
    ],
)
def test_what_of_a_node_is_not_as_the_facts_say_is_named(
    tmp_path: Path, given: tuple[bool, ...], attributes: dict[str, object], says: str
) -> None:
    found = misfit(read_operator(write(tmp_path / "shift")), given, attributes)
    assert re.match(says if says else "$", found), found


@pytest.mark.parametrize(
    ("operators", "kernels", "says"),
    [
        ([], [], "lacks the operator top_k .*top_k.*, which runs in it here"),
        (["top_k"], ["other"], "top_k .* is not the one that it was built with"),
    ],
)
def test_a_build_without_an_operator_or_with_another_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operators: list[str],
    kernels: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path))
    folder = tmp_path / host_target_id()
    folder.mkdir()
    worker = {"role": "worker", "runtime": "ncnn", "operators": operators, "kernels": kernels}
    (folder / "build.json").write_text(json.dumps({"files": [worker]}))
    with pytest.raises(MissingToolError, match=says) as raised:
        refuse_stale("ncnn", ["top_k"])
    assert "deployx-edge build --target" in raised.value.remedy
    refuse_stale("onnxruntime", ["top_k"])  # of which this build tells nothing
