"""ONNX files as people have them: weights behind links, odd names, constants of all kinds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deployx_edge.bundle import load_bundle
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.processing.preprocessing import read_content
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import prepared, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.extract import extract_model
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.convert.samples import read_arrays
from deployx_edge.workflows.measure.run import run_bundle_here, write_outputs
from tests.integration.models.onnx_models import constant, model, save, small_cnn, weights

RUNTIMES = ("ncnn", "onnxruntime")
IMAGE = {"image": (1, 3, 16, 16)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, 16, 16), np.float32)


def expected(made: onnx.ModelProto, path: Path, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """What the model itself gives, from a plain file of it."""
    return Reference(read_onnx(save(made, path), {})).run(arrays)


def with_data(path: Path, location: str, *, single: bool = True) -> Path:
    """``small_cnn`` with its weights outside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / location).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        small_cnn(),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=single,
        location=location if single else None,
        size_threshold=0,
    )
    return path


def hub(folder: Path) -> Path:
    """A hub's cache: contents in one folder, links to them in another."""
    made = with_data(folder / "made" / "model.onnx", "model.onnx_data")
    blobs, snapshot = folder / "blobs", folder / "snapshots" / "5f" / "onnx"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name, blob in (("model.onnx", "aa1"), ("model.onnx_data", "bb2")):
        (made.parent / name).rename(blobs / blob)
        (snapshot / name).symlink_to(Path("../../../blobs") / blob)
    return snapshot / "model.onnx"


def scattered(folder: Path) -> Path:
    """One file for each tensor, each behind a link to another place."""
    path = with_data(folder / "model.onnx", "", single=False)
    for index, file in enumerate(sorted(folder.iterdir())):
        if file != path:
            place = folder / "blobs" / str(index % 3) / str(index)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)
            file.symlink_to(place)
    return path


def linked_model(folder: Path) -> Path:
    """A link to the model alone: its data lie beside what the link leads to."""
    made = with_data(folder / "real" / "net.onnx", "net.data")
    (folder / "mine.onnx").symlink_to(made)
    return folder / "mine.onnx"


def linked_folder(folder: Path) -> Path:
    with_data(folder / "real" / "net.onnx", "net.data")
    (folder / "short").symlink_to(folder / "real")
    return folder / "short" / "net.onnx"


PLACES: dict[str, Callable[[Path], Path]] = {
    "hub": hub,
    "scattered": scattered,
    "linked model": linked_model,
    "linked folder": linked_folder,
    "sub-folder": lambda folder: with_data(folder / "m.onnx", "weights dir/w é.bin"),
    "umlauts": lambda folder: with_data(folder / "umlaut ä" / "mein modell.onnx", "ü 1.data"),
    "one each": lambda folder: with_data(folder / "ä ö" / "m.onnx", "", single=False),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_outside_are_read_wherever_the_file_is_opened(place: str, tmp_path: Path) -> None:
    path = PLACES[place](tmp_path / "files")
    wanted = expected(small_cnn(), tmp_path / "plain.onnx", image=image())["scores"]
    runtime = RUNTIMES[list(PLACES).index(place) % 2]
    bundle = make_bundle(path, options=BundleOptions(runtime=runtime))
    assert bundle.provenance.verification.status == "passed"
    found = run_bundle_here(bundle, {"image": image()})["scores"]
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    if place != "hub":
        return
    assert inspect_model(path).parameters == inspect_model(tmp_path / "plain.onnx").parameters
    part = extract_model(path, tmp_path / "part.onnx", starts=["image"], ends=["r1"])
    assert part.outputs == ("r1",)
    assert len(make_sequence(path, tmp_path / "parts", ["r1"]).parts) == 2


def test_the_same_model_in_two_places_has_one_bundle(tmp_path: Path) -> None:
    linked = hub(tmp_path / "a")
    plain = tmp_path / "b" / "model.onnx"
    plain.parent.mkdir()
    for name in ("model.onnx", "model.onnx_data"):
        shutil.copy(linked.parent / name, plain.parent / name)
    assert make_bundle(linked).folder == make_bundle(plain).folder
    moved = tmp_path / "c" / "model.onnx"
    moved.parent.mkdir()
    moved.symlink_to(linked)  # its data are found beside what it leads to
    assert make_bundle(moved).provenance.verification.status == "passed"


def test_weights_that_are_cut_off_or_missing_are_named(tmp_path: Path) -> None:
    path = with_data(tmp_path / "m.onnx", "m.data")
    with (tmp_path / "m.data").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=r"in 'm\.data' are not whole: '\w+' ends at byte \d+"):
        read_onnx(path, {})
    (tmp_path / "m.data").unlink()
    with pytest.raises(ModelError, match=r"keeps its weights in 'm\.data', which is not beside it"):
        read_onnx(path, {})


@pytest.mark.parametrize("location", ["/etc/hostname", "../m.data", "a/../../m.data"])
def test_weights_elsewhere_are_refused(location: str, tmp_path: Path) -> None:
    path = with_data(tmp_path / "in" / "m.onnx", "m.data")
    shutil.copy(tmp_path / "in" / "m.data", tmp_path / "m.data")
    made = onnx.load(path, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="not beside it"):
        read_onnx(path, {})


def sparse(name: str, dense: np.ndarray, *, by_rows: bool) -> onnx.SparseTensorProto:
    places = np.flatnonzero(dense)
    values = numpy_helper.from_array(dense.reshape(-1)[places], name)
    indices = np.stack(np.unravel_index(places, dense.shape), 1) if by_rows else places
    return helper.make_sparse_tensor(
        values, numpy_helper.from_array(indices.astype(np.int64), f"{name}_i"), dense.shape
    )


def sparse_weights(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    dense = random.standard_normal((4, 3, 3, 3)).astype(np.float32)
    return np.where(random.random(dense.shape) < 0.4, dense, np.float32(0.0))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", ["rows", "numbers", "constant"])
def test_sparse_constants(kind: str, runtime: str, tmp_path: Path) -> None:
    dense = sparse_weights(3)
    conv = helper.make_node("Conv", ["image", "w"], ["y"], pads=[1] * 4)
    outputs = {"y": (1, 4, 16, 16)}
    plain = model([conv], IMAGE, outputs, [numpy_helper.from_array(dense, "w")])
    made = model([conv], IMAGE, outputs)
    tensor = sparse("w", dense, by_rows=kind == "rows")
    if kind == "constant":
        made.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=tensor))
    else:
        made.graph.sparse_initializer.append(tensor)
    bundle = make_bundle(
        save(made, tmp_path / "m.onnx"), tmp_path / "b", BundleOptions(runtime=runtime)
    )
    wanted = expected(plain, tmp_path / "plain.onnx", image=image())["y"]
    found = run_bundle_here(bundle, {"image": image()})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("ir_version", [3, 8])
@pytest.mark.parametrize("listed", [True, False], ids=["listed as inputs", "not listed"])
def test_constants_that_are_inputs_or_that_nobody_reads(
    listed: bool, ir_version: int, runtime: str, tmp_path: Path
) -> None:
    """As Caffe2 wrote them; below IR version 4 constants had to be listed."""
    made = small_cnn()
    made.ir_version = ir_version
    made.opset_import[0].version = 9
    made.graph.initializer.append(weights("spare", 5))
    for tensor in made.graph.initializer if listed else ():
        made.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    bundle = make_bundle(
        save(made, tmp_path / "m.onnx"), tmp_path / "b", BundleOptions(runtime=runtime)
    )
    assert [spec.name for spec in bundle.inputs] == ["image"]
    assert bundle.provenance.verification.status == "passed"
    for ends in ({"starts": ["image"], "ends": ["r1"]}, {"starts": ["r1"], "ends": ["scores"]}):
        part = extract_model(tmp_path / "m.onnx", tmp_path / "part.onnx", **ends)
        assert len(part.inputs) == len(part.outputs) == 1


def odd_names(seed: int) -> dict[str, str]:
    """Other names for those of ``small_cnn``, with everything in them that one can think of."""
    random = np.random.default_rng(seed)
    letters = [*"ab /:=,.\\'\"{}[]%*?<>|&#é特🐟", "\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85"]
    letters += ["\u2028", "\u2029", "\u00a0", "\u202e"]
    found: dict[str, str] = {}
    for name in ("image", "scores", "c1", "r1", "w1", "flat", "conv1", "linear", "pool"):
        length = int(random.choice([1, 2, 12, 300, 2000]))
        found[name] = "".join(random.choice(letters, length)) + str(len(found))
    return found


def renamed(made: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    for node in made.graph.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*made.graph.input, *made.graph.output, *made.graph.initializer):
        value.name = names.get(value.name, value.name)
    return made


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("seed", range(3))
def test_any_name_makes_a_bundle_that_is_read(seed: int, runtime: str, tmp_path: Path) -> None:
    made = renamed(small_cnn(), odd_names(seed))
    bundle = make_bundle(
        save(made, tmp_path / "m.onnx"), tmp_path / "b", BundleOptions(runtime=runtime)
    )
    assert load_bundle(bundle.folder) == bundle
    given, wanted = bundle.inputs[0].name, bundle.outputs[0].name
    for name in (given, wanted):
        assert name.isprintable() or all(c in "\u00a0\u202e" for c in name if not c.isprintable())
    plain = expected(small_cnn(), tmp_path / "plain.onnx", image=image())["scores"]
    found = run_bundle_here(bundle, {given: image()})[wanted]
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-5)


def test_names_that_become_the_same_stay_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["a\n"]),
        helper.make_node("Neg", ["image"], ["a\t"]),
        helper.make_node("Abs", ["image"], ["a_"]),
    ]
    outputs = dict.fromkeys(["a\n", "a\t", "a_"], IMAGE["image"])
    bundle = make_bundle(save(model(nodes, IMAGE, outputs), tmp_path / "m.onnx"), tmp_path / "b")
    found = run_bundle_here(bundle, {"image": image() - 0.5})
    arrays = [found[spec.name] for spec in bundle.outputs]
    for array, wanted in zip(arrays, (np.maximum(image() - 0.5, 0), 0.5 - image()), strict=False):
        np.testing.assert_allclose(array, wanted, atol=1e-6)
    np.testing.assert_allclose(arrays[2], np.abs(image() - 0.5), atol=1e-6)
    notes = " ".join(bundle.provenance.notes)
    assert "'a\\n' is called" in notes and "'a\\t' is called" in notes


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_output_that_is_listed_twice(runtime: str, tmp_path: Path) -> None:
    made = small_cnn()
    made.graph.output.append(made.graph.output[0])
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert [spec.name for spec in bundle.outputs] == ["scores"]
    assert "Outputs that the model lists twice are given once." in bundle.provenance.notes


def test_an_input_that_is_an_output(tmp_path: Path) -> None:
    made = small_cnn()
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 2])
    made.graph.input.append(state)
    made.graph.output.append(state)
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime="onnxruntime"))
    assert load_bundle(bundle.folder) == bundle
    inputs = {"image": image(), "state": np.ones((1, 2), np.float32)}
    np.testing.assert_array_equal(run_bundle_here(bundle, inputs)["state"], inputs["state"])
    with pytest.raises(ModelError, match="the output 'state' is an input"):
        make_bundle(path, tmp_path / "c")


def test_an_input_that_only_a_branch_reads(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    branches = {
        f"{word}_branch": helper.make_graph(
            [helper.make_node(operator, ["image", "gain"], [f"out_{word}"])],
            word,
            [],
            [value(f"out_{word}", TensorProto.FLOAT, [1, 3, 16, 16])],
        )
        for word, operator in (("then", "Mul"), ("else", "Add"))
    }
    made = model(
        [helper.make_node("If", ["flag"], ["y"], **branches)],
        {**IMAGE, "gain": (1,)},
        {"y": IMAGE["image"]},
    )
    made.graph.input.append(value("flag", TensorProto.BOOL, []))
    path = save(made, tmp_path / "m.onnx")
    source = read_onnx(path, {})
    assert [tensor.name for tensor in source.inputs] == ["image", "gain", "flag"]
    inputs = {"image": image(), "gain": np.float32([3]), "flag": np.array(False)}
    np.testing.assert_allclose(Reference(source).run(inputs)["y"], image() + 3, rtol=1e-6)


REASONS: dict[str, tuple[Callable[[onnx.ModelProto], None], str, bool]] = {
    "ir": (lambda made: setattr(made, "ir_version", 99), "the IR version 99", True),
    "opset": (lambda made: setattr(made.opset_import[0], "version", 99), "is 99, the newest", True),
    "dangling": (lambda made: made.graph.node[3].input.__setitem__(0, "q"), "'q' is not", False),
    "rank": (lambda made: made.graph.initializer[0].dims.append(1), "", False),
}


@pytest.mark.parametrize("kind", REASONS)
def test_only_newer_models_are_called_newer(kind: str, tmp_path: Path) -> None:
    made = small_cnn()
    change, words, newer = REASONS[kind]
    change(made)
    path = save(made, tmp_path / "m.onnx")
    with pytest.raises(ModelError) as caught:
        make_bundle(path, tmp_path / "b", BundleOptions(runtime="onnxruntime"))
    text = str(caught.value)
    assert words in text
    assert ("newer than the ONNX" in text) is newer
    assert "onnxruntime_src" not in text and "[ONNXRuntimeError]" not in text


def tensorflow_like(channels: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Sub", ["image", "mean"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"]),
        helper.make_node("Transpose", ["c"], ["u"], perm=[0, 2, 3, 1]),
        helper.make_node("Sigmoid", ["u"], ["y"]),
    ]
    values = [weights("w", 5, channels, 1, 1), constant("mean", np.float32([0.5]))]
    return model(nodes, {"image": (1, 12, 10, channels)}, {"y": (1, 12, 10, 5)}, values)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_channels_that_come_last_are_called_so(channels: int, runtime: str, tmp_path: Path) -> None:
    path = save(tensorflow_like(channels), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    data = json.loads((bundle.folder / "bundle.json").read_text(encoding="utf-8"))
    assert data["inputs"][0]["layout"] == data["outputs"][0]["layout"] == "NHWC"
    path = save(small_cnn(), tmp_path / "n.onnx")
    assert make_bundle(path, tmp_path / "n").inputs[0].layout == "NCHW"


def test_an_unused_input_can_be_left_out(tmp_path: Path) -> None:
    made = small_cnn()
    made.graph.input.append(helper.make_tensor_value_info("spare", TensorProto.FLOAT, [1, 2]))
    path = save(made, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="--input spare=0"):
        make_bundle(path, tmp_path / "b")
    bundle = make_bundle(path, tmp_path / "b", input_shapes=("spare=0",))
    assert [spec.name for spec in bundle.inputs] == ["image"]
    with pytest.raises(UsageError, match="no input 'spars'"):
        make_bundle(path, tmp_path / "b", input_shapes=("spars=0",))


def test_arrays_of_any_name_are_written_and_read(tmp_path: Path) -> None:
    """``numpy.savez`` has arguments of its own, which are names like any other in a model."""
    names = ["file", "allow_pickle", "args", "self", "a/b", "../c", "x.npy", "é 🐟", "y"]
    arrays = {name: np.full((2, 3), index, np.float32) for index, name in enumerate(names)}
    write_outputs(arrays, tmp_path / "out.npz")
    assert list(read_content(tmp_path / "out.npz")) == names
    for name, array in read_arrays([tmp_path / "out.npz"], ()).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_a_file_whose_name_has_a_line_break(tmp_path: Path) -> None:
    bundle = make_bundle(save(small_cnn(), tmp_path / "my\nmodel\t1.onnx"), tmp_path / "b")
    assert load_bundle(bundle.folder) == bundle
    assert bundle.provenance.source_file == "my model 1.onnx"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nodes_in_any_order(runtime: str, tmp_path: Path) -> None:
    """ONNX wants each node behind those it reads; ONNX Runtime takes files that are not so."""
    made = small_cnn()
    wanted = expected(small_cnn(), tmp_path / "plain.onnx", image=image())
    turned = list(made.graph.node)[::-1]
    del made.graph.node[:]
    made.graph.node.extend(turned)
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert bundle.provenance.verification.status == "passed"
    found = Reference(read_onnx(path, {})).run({"image": image()})
    np.testing.assert_array_equal(found["scores"], wanted["scores"])


def test_a_small_file_is_parsed_once(tmp_path: Path) -> None:
    """What was read serves all that follow, each with a copy of its own."""
    path = save(small_cnn(), tmp_path / "m.onnx")
    source = read_onnx(path, {})
    path.unlink()
    first, second = prepared(source), prepared(source)
    del first.graph.node[:]
    assert [node.op_type for node in second.graph.node] == [
        node.op_type for node in small_cnn().graph.node
    ]
    assert len(prepared(source).graph.node) == len(second.graph.node)
