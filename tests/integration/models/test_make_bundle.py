"""From a model file to a bundle, with the real pnnx, ncnn and ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.bundle import Bundle, bundle_digest, load_bundle
from deployx_edge.errors import BundleError, ModelError, UsageError, VerificationError
from deployx_edge.model import from_runtime_array, to_runtime_arrays
from deployx_edge.processing.postprocessing import classify
from deployx_edge.processing.preprocessing import load_image
from deployx_edge.progress import Stage
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, run_ncnn
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert import bundle as story
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save, small_cnn, weights

DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits"
DIGITS_RIGHT = 431  # of 450, as train.py printed and examples/digits/README.md says


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def digits(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    output = tmp_path_factory.mktemp("digits") / request.param
    return make_bundle(DIGITS / "digits_cnn.onnx", output, BundleOptions(precision=request.param))


def run(bundle: Bundle, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The bundle's outputs by name, from ncnn's wheel."""
    files = NcnnModel(
        param=bundle.path("param"), bin=bundle.path("bin"), precision=bundle.precision
    )
    inputs = to_runtime_arrays(bundle.inputs, arrays)
    blobs = [spec.runtime_name for spec in bundle.outputs]
    (outputs,) = run_ncnn(files, [inputs], outputs=blobs).runs
    batched = any(flag for _, flag in inputs.values())
    return {
        spec.name: from_runtime_array(spec, outputs[spec.runtime_name], batched=batched)
        for spec in bundle.outputs
    }


def test_the_manifest_of_the_digits(digits: Bundle) -> None:
    assert load_bundle(digits.folder) == digits
    (image,), (scores,) = digits.inputs, digits.outputs
    assert (image.name, image.runtime_name, image.shape) == ("image", "image", (1, 1, 8, 8))
    assert (image.layout, image.batch_axis) == ("NCHW", 0)
    assert (scores.name, scores.runtime_name, scores.shape) == ("scores", "scores", (1, 10))
    assert [file.path for file in digits.files] == ["digits_cnn.param", "digits_cnn.bin"]
    provenance = digits.provenance
    assert {"native converter", "ncnn", "onnx"} <= set(dict(provenance.tools))
    assert provenance.source_file == "digits_cnn.onnx"
    assert provenance.verification.status == "passed"
    assert provenance.verification.inputs == 6


def test_half_precision_halves_the_weights(tmp_path: Path) -> None:
    sizes = {
        precision: make_bundle(
            DIGITS / "digits_cnn.onnx", tmp_path / precision, BundleOptions(precision=precision)
        )
        .file("bin")
        .size
        for precision in ("fp32", "fp16")
    }
    assert 0.5 <= sizes["fp16"] / sizes["fp32"] < 0.52


def test_the_digits_reach_their_accuracy_in_ncnn(digits: Bundle) -> None:
    test = np.load(DIGITS / "digits_test.npz")
    scores = run(digits, dict(test))["scores"]
    assert scores.shape == (450, 10)
    right = int((scores.argmax(axis=1) == test["labels"]).sum())
    assert abs(right - DIGITS_RIGHT) <= (0 if digits.precision == "fp32" else 2)


def test_the_digits_reach_their_accuracy_in_the_reference() -> None:
    source = read_onnx(DIGITS / "digits_cnn.onnx", {})
    reference = Reference(source)
    test = np.load(DIGITS / "digits_test.npz")
    right = sum(
        int(reference.run({"image": image[None]})["scores"].argmax()) == label
        for image, label in zip(test["image"], test["labels"], strict=True)
    )
    assert right == DIGITS_RIGHT


@pytest.mark.parametrize("digit", [3, 5, 8])
def test_a_image_is_recognised(digits: Bundle, digit: int) -> None:
    image = load_image(DIGITS / f"digit_{digit}.png", digits.preprocessing[0])
    test = np.load(DIGITS / "digits_test.npz")
    original = test["image"][np.flatnonzero(test["labels"] == digit)[0]]
    assert np.abs(image[0] - original).max() < 1 / 255
    best = classify(digits.postprocessing[0], run(digits, {"image": image})["scores"])[0]
    assert best.label == str(digit)
    assert best.score > 0.9


def test_a_batch_gives_what_single_samples_give(digits: Bundle) -> None:
    images = np.load(DIGITS / "digits_test.npz")["image"][:5]
    together = run(digits, {"image": images})["scores"]
    alone = [run(digits, {"image": images[i : i + 1]})["scores"] for i in range(5)]
    assert np.array_equal(together, np.concatenate(alone))


def test_the_same_input_makes_the_same_bundle(tmp_path: Path) -> None:
    first = make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "a")
    second = make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "b")
    assert bundle_digest(first) == bundle_digest(second)


def test_implicit_bundles_are_kept_and_reused(own_cache: Path) -> None:
    told: list[object] = []
    first = make_bundle(DIGITS / "digits_cnn.onnx", progress=told.append)
    assert first.folder.parent == own_cache / "bundles"
    count = len(told)
    assert count >= 2
    assert make_bundle(DIGITS / "digits_cnn.onnx", progress=told.append) == first
    assert not [each for each in told[count:] if isinstance(each, Stage)]  # only phases are told
    half = make_bundle(DIGITS / "digits_cnn.onnx", None, BundleOptions(precision="fp16"))
    assert half.folder != first.folder


def test_a_damaged_implicit_bundle_is_made_again() -> None:
    first = make_bundle(DIGITS / "digits_cnn.onnx")
    first.path("bin").write_bytes(b"damaged")
    (first.folder / "bundle.json").write_text("{")
    assert load_bundle(make_bundle(DIGITS / "digits_cnn.onnx").folder) == first


def test_a_changed_model_is_not_mistaken_for_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(small_cnn(), path, save_as_external_data=True, location="w", size_threshold=64)
    first = make_bundle(path)
    content = bytearray((tmp_path / "w").read_bytes())
    content[:4] = np.float32(9.0).tobytes()
    (tmp_path / "w").write_bytes(bytes(content))
    second = make_bundle(path)
    assert second.folder != first.folder
    assert second.file("bin").sha256 != first.file("bin").sha256


def test_four_at_once_make_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    write = story._write

    def counting(model: Path, *rest: object) -> Bundle:
        made.append(model)
        return write(model, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(story, "_write", counting)
    with ThreadPoolExecutor(4) as pool:
        bundles = list(pool.map(lambda _: make_bundle(DIGITS / "digits_cnn.onnx"), range(4)))
    assert len(made) == 1
    assert all(bundle == bundles[0] for bundle in bundles)


def test_nothing_is_left_in_temporary_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "b")
    lstm = small_cnn()
    lstm.graph.node[0].domain = "com.example"
    with pytest.raises(ModelError):
        make_bundle(save(lstm, tmp_path / "m.onnx"), tmp_path / "c")
    assert list(temporary.iterdir()) == []
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "cache", "m.onnx", "tmp"]


def test_without_verification_the_manifest_says_so(tmp_path: Path) -> None:
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    node = helper.make_node("AveragePool", ["image"], ["y"], **attributes)
    wrong = model([node], {"image": (1, 3, 8, 8)}, {"y": (1, 3, 4, 4)})
    path = save(wrong, tmp_path / "m.onnx")
    # pnnx gets this padding wrong without a word.
    with pytest.raises(VerificationError):
        make_bundle(path, tmp_path / "a", BundleOptions(converter="pnnx"))
    made = make_bundle(path, tmp_path / "b", BundleOptions(converter="pnnx", verify=False))
    assert made.provenance.verification.status == "skipped"
    assert made.provenance.verification.outputs == ()


def test_two_inputs_and_two_outputs_keep_their_names_and_order(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Conv", ["left", "w"], ["c"], pads=[1] * 4),
            helper.make_node("Conv", ["right", "w"], ["d"], pads=[1] * 4),
            helper.make_node("Add", ["c", "d"], ["sum/all"]),
            helper.make_node("Tanh", ["d"], ["gate:0"]),
        ],
        {"right": (1, 3, 12, 10), "left": (1, 3, 12, 10)},
        {"gate:0": (1, 4, 12, 10), "sum/all": (1, 4, 12, 10)},
        [weights("w", 4, 3, 3, 3)],
    )
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b")
    assert [(s.name, s.runtime_name) for s in bundle.inputs] == [
        ("right", "right"),
        ("left", "left"),
    ]
    names = ["gate:0", "sum/all"]
    assert [(s.name, s.runtime_name) for s in bundle.outputs] == [(name, name) for name in names]
    made_by_pnnx = make_bundle(tmp_path / "m.onnx", tmp_path / "p", BundleOptions(converter="pnnx"))
    assert [(s.name, s.runtime_name) for s in made_by_pnnx.inputs] == [
        ("right", "in0"),
        ("left", "in1"),
    ]
    assert [s.runtime_name for s in made_by_pnnx.outputs] == ["out0", "out1"]


def test_awkward_files_that_are_right(tmp_path: Path) -> None:
    """External data, initializers among the inputs, a new IR version, a name with spaces."""
    made = small_cnn()
    made.graph.input.append(
        helper.make_tensor_value_info("w1", onnx.TensorProto.FLOAT, [8, 3, 3, 3])
    )
    made.ir_version = 12
    path = tmp_path / "my model (2).onnx"
    onnx.save(made, path, save_as_external_data=True, location="w.data", size_threshold=64)
    bundle = make_bundle(path, tmp_path / "b")
    assert bundle.name == "my_model_2_"
    assert [spec.name for spec in bundle.inputs] == ["image"]
    assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 8, 8), (7,), (5, 4), (4, 3, 8, 8)])
def test_inputs_of_every_rank(tmp_path: Path, shape: tuple[int, ...]) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, {"y": shape})
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b")
    array = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    assert np.array_equal(run(bundle, {"x": array})["y"], np.maximum(array, 0))


def test_layers_and_blobs_keep_the_names_of_nodes_and_tensors(tmp_path: Path) -> None:
    made = small_cnn()
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b")
    layers = {layer.name: layer for layer in read_param(bundle.path("param"))}
    assert layers["strided"].type == "Convolution"
    assert layers["depthwise"].type == "ConvolutionDepthWise"
    tensors = {name for node in made.graph.node for name in node.output}
    assert {top for name in ("strided", "depthwise", "pool") for top in layers[name].tops} < tensors


def test_an_unknown_converter(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="native or pnnx, not 'magic'"):
        make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "b", BundleOptions(converter="magic"))


def pair(folder: Path, made: Bundle) -> Path:
    """The bundle's files as somebody else's .param and .bin."""
    folder.mkdir(exist_ok=True)
    shutil.copy(made.path("bin"), folder / "net.bin")
    return Path(shutil.copy(made.path("param"), folder / "net.param"))


def test_a_param_and_bin_pair(tmp_path: Path, digits: Bundle) -> None:
    param = pair(tmp_path / "pair", digits)
    param.write_text(param.read_text().replace(" image 0=8 1=8 2=1\n", " image\n", 1))
    with pytest.raises(UsageError, match="--input image:3x224x224"):
        make_bundle(param, tmp_path / "b")
    made = make_bundle(param, tmp_path / "b", input_shapes=["image:1x8x8"])
    assert made.precision == digits.precision
    assert made.provenance.verification.status == "no-reference"
    assert made.inputs[0].shape == (1, 8, 8)
    assert made.outputs[0].shape == (10,)
    image = np.load(DIGITS / "digits_test.npz")["image"][0]
    expected = run(digits, {"image": image[None]})["scores"][0]
    assert np.array_equal(run(made, {"image": image})["scores"], expected)


def test_a_pair_that_says_its_shape(tmp_path: Path, digits: Bundle) -> None:
    param = pair(tmp_path / "pair", digits)
    assert make_bundle(param).inputs[0].shape == (1, 8, 8)
    wanted = {"fp32": "fp16", "fp16": "fp32"}[digits.precision]
    with pytest.raises(UsageError, match=f"are {digits.precision}, not {wanted}"):
        make_bundle(param, None, BundleOptions(precision=wanted))


def test_pairs_that_cannot_be_used(tmp_path: Path, digits: Bundle) -> None:
    shape = ["image:1x8x8"]
    lonely = pair(tmp_path / "lonely", digits)
    lonely.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"net\.bin is missing"):
        make_bundle(lonely, input_shapes=shape)
    unknown = pair(tmp_path / "unknown", digits)
    unknown.write_text(unknown.read_text().replace("Pooling ", "Poolink "))
    with pytest.raises(ModelError, match=r"'/features/features\.9/MaxPool' of the type 'Poolink'"):
        make_bundle(unknown, input_shapes=shape)
    short = pair(tmp_path / "short", digits)
    short.with_suffix(".bin").write_bytes(short.with_suffix(".bin").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"refused the \.bin file"):
        make_bundle(short, input_shapes=shape)
    with pytest.raises(UsageError, match="has no input 'photo'"):
        make_bundle(pair(tmp_path / "name", digits), input_shapes=["photo:1x8x8", *shape])


def test_a_file_of_which_ncnn_dies_does_not_take_us_along(tmp_path: Path, digits: Bundle) -> None:
    param = pair(tmp_path / "pair", digits)
    text = param.read_text().replace("1=3 ", "1=2147483647 ", 1)
    param.write_text(text)
    with pytest.raises(ModelError, match=r"net\.param"):
        make_bundle(param)


def test_a_bundle_is_taken_as_it_lies_or_copied(tmp_path: Path, digits: Bundle) -> None:
    assert make_bundle(digits.folder) == digits
    copy = make_bundle(digits.folder, tmp_path / "copy")
    assert replace(copy, folder=digits.folder) == digits
    assert bundle_digest(load_bundle(tmp_path / "copy")) == bundle_digest(digits)
    with pytest.raises(UsageError, match="is a bundle already"):
        make_bundle(digits.folder, None, BundleOptions(preprocess=("std=255",)))
    with pytest.raises(BundleError, match="is not a bundle"):
        make_bundle(tmp_path)


def test_an_output_folder_in_use_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    told: list[object] = []
    with pytest.raises(UsageError, match="exists and is not a bundle"):
        make_bundle(DIGITS / "digits_cnn.onnx", tmp_path, progress=told.append)
    assert told == []
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_the_random_network_is_large_enough(tmp_path: Path) -> None:
    path = tmp_path / "random.onnx"
    script = DIGITS.parent / "random_network.py"
    subprocess.run([sys.executable, script, path, "--width", "32"], check=True)
    assert path.stat().st_size >= 10_000_000
    made = make_bundle(path, tmp_path / "b")
    assert made.provenance.verification.status == "passed"
    assert made.file("bin").size >= 10_000_000


def test_steps_come_from_yaml_files_one_or_many(tmp_path: Path) -> None:
    """A list of mappings is several steps; a changed file makes another bundle in the cache."""
    steps = tmp_path / "steps.yaml"
    steps.write_text("- {input: image, std: 16}\n", encoding="utf-8")
    first = make_bundle(DIGITS / "digits_cnn.onnx", options=BundleOptions(preprocess=(str(steps),)))
    assert first.preprocessing[0].std == (16.0,)
    steps.write_text("- {input: image, std: 32}\n", encoding="utf-8")
    second = make_bundle(
        DIGITS / "digits_cnn.onnx", options=BundleOptions(preprocess=(str(steps),))
    )
    assert second.preprocessing[0].std == (32.0,)
    steps.write_text("- {input: image}\n- {input: image}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="given twice"):
        make_bundle(DIGITS / "digits_cnn.onnx", options=BundleOptions(preprocess=(str(steps),)))
