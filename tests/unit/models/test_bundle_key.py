"""The name of a bundle in the cache changes with everything that can change the bundle."""

import ast
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import helper, numpy_helper

import deployx_edge
from deployx_edge.errors import ModelError
from deployx_edge.runtime import RUNTIMES
from deployx_edge.workflows.convert import bundle_key as keys
from deployx_edge.workflows.convert.bundle_key import bundle_key, code_digest, tool_versions
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model
from deployx_edge.workflows.convert.options import BundleOptions

PACKAGE = Path(deployx_edge.__file__).parent
# What is imported under one name and installed under another.
DISTRIBUTIONS = {"google": "protobuf", "PIL": "pillow", "yaml": "pyyaml"}
DISTRIBUTIONS["tensorrt_rtx_bindings"] = "tensorrt-rtx-cu12-bindings"


def module_name(path):
    parts = ("deployx_edge", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def for_types_only(tree):
    blocks = (
        n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    )
    return {id(inside) for block in blocks for line in block.body for inside in ast.walk(line)}


def names_in(tree):
    """Everything that a module imports, at its top or inside functions, or runs by its name."""
    skipped = for_types_only(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in MODULES:
            yield node.value


def reachable(*starts):
    """The modules of this package that may run once these are imported, and what they import."""
    seen, others, left = set(), set(), list(starts)
    while left:
        module = left.pop()
        if module in seen or module.endswith("quantizer"):  # no conversion asks for one
            continue
        seen.add(module)
        for name in names_in(ast.parse(MODULES[module].read_text())):
            if name.partition(".")[0] != "deployx_edge":
                others.add(name.partition(".")[0])
            elif name in MODULES:
                parts = name.split(".")
                left += [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return seen, others


# Runtimes are imported by their names in the table.
PARTS, IMPORTED = reachable(
    "deployx_edge.workflows.convert.bundle",
    *(f"deployx_edge.runtimes.{name}" for name in RUNTIMES),
)


def test_no_module_that_takes_part_is_forgotten():
    assert {
        "deployx_edge.comparison",
        "deployx_edge.processing.preprocessing",
    } < PARTS  # the walk walks
    tops = {name.split(".")[1] for name in PARTS if "." in name}
    assert not tops & set(keys.NO_PART_OF_CONVERSIONS)


def test_no_tool_that_takes_part_is_forgotten():
    tools = {DISTRIBUTIONS.get(n, n) for n in IMPORTED if n not in sys.stdlib_module_names}
    assert {"onnx", "ncnn", "torch"} < tools  # the walk walks
    assert tools <= {name for name, _ in tool_versions()}


def test_each_module_that_takes_part_changes_the_digest(tmp_path):
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest(copy)
    assert before == code_digest()
    for name in sorted(PARTS):
        file = copy / MODULES[name].relative_to(PACKAGE)
        text = file.read_bytes()
        file.write_bytes(text + b"#")
        code_digest.cache_clear()
        assert code_digest(copy) != before, name
        file.write_bytes(text)
    (copy / "sources" / "new.py").touch()
    code_digest.cache_clear()
    assert code_digest(copy) != before


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    values = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x", "y")]
    weight = numpy_helper.from_array(numpy.arange(4, dtype=numpy.float32), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        path,
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )
    return path


USUAL = BundleOptions()


def key_of(path, options=USUAL):
    with open_source_model(path, TorchOptions(), {}) as opened:
        return bundle_key(opened, options)


CHANGES = {
    "runtime": "onnxruntime",
    "precision": "fp16",
    "verify": False,
    "accept_unproven": True,
    "name": "other",
    "via": "pnnx",
    "torch": TorchOptions(exporter="dynamo"),
    "input_shapes": ("x:1x4",),
    "preprocess": ("x:scale=2",),
    "postprocess": ("y:softmax",),
    "samples": (Path("other.npz"),),
}


def test_each_option_changes_the_key(model):
    found = {key_of(model)}
    for field in fields(BundleOptions):
        given = CHANGES.get(field.name, "another value")
        found.add(key_of(model, replace(USUAL, **{field.name: given})))
    assert len(found) == 1 + len(fields(BundleOptions))


def test_the_content_of_each_file_changes_the_key(model, tmp_path):
    folder = tmp_path / "samples"
    (folder / "deep").mkdir(parents=True)
    files = [tmp_path / "one.npz", folder / "deep" / "two.npz"]
    for file in files:
        file.write_bytes(b"1")
    options = BundleOptions(samples=(files[0], folder))
    found = {key_of(model, options)}
    assert key_of(model, options) in found  # the second time by what was kept of the first
    for file in (*files, model.with_name("weights")):
        file.write_bytes(file.read_bytes() + b"2")
        found.add(key_of(model, options))
    assert len(found) == 4


def test_weights_are_looked_for_where_the_model_lies(model, tmp_path):
    """A copy of the model elsewhere has weights of its own; without any it is refused by name."""
    here = key_of(model)
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(model, tmp_path / "copy" / "model.onnx"))
    with pytest.raises(ModelError, match="weights"):
        key_of(copy)
    copy.with_name("weights").write_bytes(bytes(16))
    assert key_of(copy) != here
    shutil.copy(model.with_name("weights"), copy.with_name("weights"))
    assert key_of(copy) == here
    copy.with_name("weights").unlink()
    with pytest.raises(ModelError, match="weights"):
        key_of(copy)


def test_each_tool_changes_the_key(model, monkeypatch):
    found = {key_of(model)}
    versions = dict(tool_versions())
    for tool in versions:
        changed = [*{**versions, tool: "other"}.items()]
        monkeypatch.setattr(keys, "tool_versions", lambda changed=changed: changed)
        found.add(key_of(model))
    assert len(found) == 1 + len(versions)
