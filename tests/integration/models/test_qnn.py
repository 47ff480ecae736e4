"""QNN on this computer: Qualcomm's emulator as the runner, and what it refuses."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from deployx_edge.bundle import Bundle, load_bundle
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.quantization.values import PRESETS
from deployx_edge.runtimes.converter import LeftNodesError
from deployx_edge.runtimes.qnn.converter import QnnConverter
from deployx_edge.runtimes.qnn.provider import QnnProcess
from deployx_edge.runtimes.qnn.socs import DEFAULT_SOC, find_soc
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run_bundle_here
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from examples.shapes.drawing import draw_many
from tests.integration.models.onnx_kinds import KINDS
from tests.integration.models.onnx_models import model, save, weights
from tests.integration.models.test_openvino import deployx
from tests.integration.models.test_runtimes import wide_model
from tests.runtimes import missing

pytestmark = pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
EXAMPLES = Path("examples").resolve()
DIGITS = EXAMPLES / "digits" / "digits_cnn.onnx"
CALIBRATION = EXAMPLES / "digits" / "digits_calibration.npz"
QNN = BundleOptions(runtime="qnn")
FAST = QuantizeOptions(count=32, preset="fast", settings=PRESETS["fast"], bundle=QNN)
BOXES = "detection,labels=circle|square|triangle"
MASKS = "segmentation,labels=ground|circle|square|triangle"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return quantize(DIGITS, CALIBRATION, tmp_path_factory.mktemp("digits") / "int8", FAST).bundle


def difference(bundle: Bundle, reference: Path, data: Path, **words: object) -> float:
    """By how much the emulator is better than the source in ONNX Runtime, of the first metric."""
    chosen = replace(EvaluationOptions(), **words)  # type: ignore[arg-type]
    found = evaluate(bundle.folder, data, [], reference=reference, options=chosen)
    assert found.reference is not None
    return found.places[0].figures[0].value - found.reference.figures[0].value


def test_digits_in_int8_are_as_accurate_as_the_reference(digits: Bundle) -> None:
    assert digits.precision == "int8"
    (check,) = digits.provenance.verification.outputs
    assert check.verdict in ("same", "rounded")
    assert abs(difference(digits, DIGITS, EXAMPLES / "digits" / "digits_test.npz")) <= 0.01


def test_values_between_layers_may_have_16_bits(digits: Bundle, tmp_path: Path) -> None:
    settings = replace(PRESETS["fast"], activations="int16")
    wide = replace(FAST, settings=settings)
    made = quantize(DIGITS, CALIBRATION, tmp_path / "int16", wide).bundle
    tensors = onnx.load(made.path("onnx")).graph.initializer
    names = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in tensors}
    assert {"INT8", "UINT16"} <= names
    assert "UINT8" not in names
    (check,) = made.provenance.verification.outputs
    assert check.relative_error < 2e-3
    last = [compare(DIGITS, each.folder).layers[-1].check for each in (digits, made)]
    assert {each.output for each in last} == {"scores"}
    assert last[1].relative_error < last[0].relative_error
    with pytest.raises(UsageError, match="values have 8 bits, not 16"):
        ncnn = replace(wide, bundle=BundleOptions())
        quantize(DIGITS, CALIBRATION, tmp_path / "ncnn", ncnn)


def test_a_detector_with_16_bits_between_layers_loses_nothing(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--all"):
        pytest.skip("takes half a minute: pytest --all")
    source = source_of("detector", 128, tmp_path)
    for index, image in enumerate(draw_many(1, 16, 128)):
        Image.fromarray(image.pixels).save(tmp_path / f"{index}.png")
    bundle = replace(QNN, preprocess=("std=255",), postprocess=(BOXES,))
    settings = replace(PRESETS["fast"], activations="int16")
    options = replace(FAST, count=16, settings=settings, bundle=bundle)
    made = quantize(source, tmp_path, tmp_path / "int16", options).bundle
    data = EXAMPLES / "detector" / "shapes_test.npz"
    assert difference(made, source, data, limit=24) >= -0.01


def test_a_named_chip_s_graph_is_made_here_and_kept_in_the_bundle(tmp_path: Path) -> None:
    made = make_bundle(DIGITS, tmp_path / "b", replace(QNN, soc="sm8650"))
    assert (made.soc, [file.role for file in made.files]) == ("sm8650", ["onnx", "context"])
    context = onnx.load(made.path("context"))
    assert [node.op_type for node in context.graph.node] == ["EPContext"]
    told = {entry.key: entry.value for entry in context.metadata_props}
    assert (told["deployx.soc"], told["deployx.soc_number"]) == ("sm8650", "57")
    image = {"image": np.random.default_rng(0).random((1, 1, 8, 8), dtype=np.float32)}
    found = []
    for role in ("onnx", "context"):
        with QnnProcess(made.path(role), find_soc("sm8650")) as process:
            found.append(process.run(image, ["scores"])["scores"])
    np.testing.assert_array_equal(*found)
    usual = make_bundle(DIGITS, tmp_path / "usual", QNN)
    assert (usual.soc, [file.role for file in usual.files]) == ("", ["onnx"])


def test_a_quantized_source_stays_int8_in_half_floats(tmp_path: Path) -> None:
    """Its pairs decide, with a scale for each output; so a chip without floats takes it."""
    random = np.random.default_rng(0)
    made = KINDS["int8"].make()
    (axis,) = [node for node in made.graph.node if node.input[0] == "codes"]
    axis.attribute.append(helper.make_attribute("axis", 0))
    for tensor in made.graph.initializer:
        if tensor.name in ("sw", "zw"):
            first = numpy_helper.to_array(tensor)
            each = first * (1 + random.random(8).astype(first.dtype))
            tensor.CopyFrom(numpy_helper.from_array(each, tensor.name))
    path = save(made, tmp_path / "int8.onnx")
    options = replace(QNN, precision="fp16", soc="qcs6490", verify=False)
    bundle = make_bundle(path, tmp_path / "b", options)
    operators = [node.op_type for node in onnx.load(bundle.path("onnx")).graph.node]
    assert sorted(operators) == sorted(node.op_type for node in made.graph.node)
    given = {"x": random.random((1, 3, 8, 8), dtype=np.float32)}
    (wanted,) = open_model(path).run(["y"], given)
    (step,) = (numpy_helper.to_array(t) for t in made.graph.initializer if t.name == "sy")
    found = run_bundle_here(bundle, given)["y"]
    assert np.abs(found - wanted).max() <= 1.01 * step


def test_a_chip_without_floats_has_int8_and_nothing_else(tmp_path: Path) -> None:
    """Every layer is int8 there: one that was left in half floats would be refused."""
    chip = replace(QNN, soc="qcs6490")
    made = quantize(DIGITS, CALIBRATION, tmp_path / "int8", replace(FAST, bundle=chip)).bundle
    assert abs(difference(made, DIGITS, EXAMPLES / "digits" / "digits_test.npz")) <= 0.01
    with pytest.raises(UsageError, match=r"NPU of qcs6490 \(HTP V68\) has no floats") as caught:
        make_bundle(DIGITS, tmp_path / "b", chip)
    assert "quantize … --runtime qnn --soc qcs6490" in caught.value.remedy
    with pytest.raises(UsageError, match="no files for 'sm9999'"):
        make_bundle(DIGITS, tmp_path / "b", replace(QNN, soc="sm9999"))


def source_of(name: str, side: int, folder: Path) -> Path:
    """One of the networks that see shapes, as ONNX."""
    options = BundleOptions(
        runtime="onnxruntime",
        input_shapes=(f"image:1x3x{side}x{side}",),
        torch=TorchOptions(checkpoint=EXAMPLES / name / f"{name}.pt"),
    )
    return make_bundle(Path(f"examples.{name}.model:{name}"), folder / name, options).path("onnx")


def check_layers(source: Path, bundle: Bundle, config: pytest.Config) -> None:
    """No layer differs, by the emulator; with --all, as it takes longer than all else."""
    if config.getoption("--all"):
        layers = compare(source, bundle.folder).layers
        assert len(layers) > 20
        assert {layer.check.verdict for layer in layers} <= {"same", "rounded"}


def test_a_segmenter_in_int8_is_as_accurate_as_the_reference(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    source = source_of("segmenter", 96, tmp_path)
    for index, image in enumerate(draw_many(1, 16, 96)):
        Image.fromarray(image.pixels).save(tmp_path / f"{index}.png")
    bundle = replace(QNN, preprocess=("std=255",), postprocess=(MASKS,))
    made = quantize(source, tmp_path, tmp_path / "int8", replace(FAST, count=16, bundle=bundle))
    data = EXAMPLES / "segmenter" / "shapes_test.npz"
    assert difference(made.bundle, source, data, limit=8) >= -0.01
    check_layers(source, made.bundle, pytestconfig)


def test_a_detector_in_half_floats_is_as_accurate_as_the_reference(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """So many tensors inside are asked for that the HTP gives them in portions."""
    source = source_of("detector", 128, tmp_path)
    options = replace(QNN, precision="fp16", preprocess=("std=255",), postprocess=(BOXES,))
    bundle = make_bundle(source, tmp_path / "fp16", options)
    inside = bundle.provenance.verification.intermediates
    assert inside is not None
    assert inside.compared > 80
    data = EXAMPLES / "detector" / "shapes_test.npz"
    assert difference(bundle, source, data, limit=8) >= -0.01
    check_layers(source, bundle, pytestconfig)


def test_floats_are_half_floats_whatever_the_file_holds(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        options = replace(QNN, precision=precision)
        bundle = make_bundle(DIGITS, tmp_path / precision, options)
        (check,) = bundle.provenance.verification.outputs
        assert check.verdict == "same"
        assert 1e-4 < check.relative_error < 2e-2  # fp32 alone is at 1e-6


def test_the_first_layer_that_differs_is_found(digits: Bundle, tmp_path: Path) -> None:
    assert all(item.check.verdict != "differs" for item in compare(DIGITS, digits.folder).layers)
    damaged = onnx.load(digits.path("onnx"))
    (scale,) = (
        tensor
        for tensor in damaged.graph.initializer
        if tensor.name.endswith("/features/features.6/Conv/1/scale")
    )
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 2, scale.name))
    made = make_bundle(save(damaged, tmp_path / "damaged.onnx"), tmp_path / "b", QNN)
    found = compare(DIGITS, made.folder)
    first = next(item for item in found.layers if item.check.verdict == "differs")
    assert "/features.8/" in first.check.output


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution, and a node that no HTP runs."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Det", ["a"], ["d"], "determinant"),
        helper.make_node("Atan", ["a"], ["y"], "angle"),
    ]
    made = model(
        nodes, {"x": (1, 3, 8, 8)}, {"d": (1, 4), "y": (1, 4, 8, 8)}, [weights("w", 4, 3, 3, 3)]
    )
    return save(made, tmp_path_factory.mktemp("refused") / "refused.onnx")


def test_a_node_that_would_run_on_the_processor_is_refused_by_name(
    refused: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"Det \(node 'determinant'\)") as caught:
        make_bundle(refused, tmp_path / "b", QNN)
    assert "--allow-fallback" in caught.value.remedy
    assert "--partition" in caught.value.remedy
    assert not (tmp_path / "b").exists()
    found = inspect_model(refused, runtime="qnn")
    named = {use.operator: use.refused["qnn"] for use in found.operators}
    assert named["Det"]
    assert not named["Conv"]


def test_nodes_that_may_run_on_the_processor_are_named_in_the_bundle(
    refused: Path, tmp_path: Path
) -> None:
    """Its outputs are compared with the processor's part in them, and no other part is let in."""
    given = {"x": np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)}
    allowed = replace(QNN, allow_fallback=True, soc="sm8650")
    made = make_bundle(refused, tmp_path / "b", allowed)
    (node,) = made.left
    assert (node.node, node.operator) == ("determinant", "Det")
    assert "not supported" in node.reason
    assert "will not be assigned" not in node.reason
    proof = made.provenance.verification
    assert (proof.status, [check.verdict for check in proof.outputs]) == ("passed", ["same"] * 2)
    assert load_bundle(made.folder).left == made.left
    kinds = [node.op_type for node in onnx.load(made.path("context")).graph.node]
    assert {"EPContext", "Det"} <= {*kinds}
    assert "Conv" not in kinds
    wanted = Reference(read_onnx(refused, {})).run(given)
    found = run_bundle_here(made, given)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-2, atol=1e-2)
    other = replace(made.left[0], node="another")
    with pytest.raises(LeftNodesError, match=r"Det \(node 'determinant'\)"):
        run_bundle_here(replace(made, left=(other,)), given)
    assert QnnConverter().left_nodes(DIGITS, "") == ()


def test_int8_may_leave_nodes_too(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--all"):
        pytest.skip("takes a quarter of a minute: pytest --all")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Det", ["a"], ["d"], "determinant"),
        helper.make_node("Conv", ["a", "v"], ["y"], "last"),
    ]
    made = model(
        nodes,
        {"x": (1, 3, 8, 8)},
        {"d": (1, 4), "y": (1, 4, 8, 8)},
        [weights("w", 4, 3, 3, 3), weights("v", 4, 4, 1, 1)],
    )
    path = save(made, tmp_path / "m.onnx")
    data = np.random.default_rng(0).random((32, 3, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    options = replace(FAST, bundle=replace(QNN, allow_fallback=True))
    found = quantize(path, tmp_path / "data.npz", tmp_path / "b", options).bundle
    assert ("determinant", "Det") in {(node.node, node.operator) for node in found.left}
    assert "conv" not in {node.node for node in found.left}


def test_what_the_npu_refuses_runs_as_a_part_of_its_own(refused: Path, tmp_path: Path) -> None:
    made = make_sequence(refused, tmp_path / "parts", ["a"], QNN)
    assert [part.runtime for part in made.bundles] == ["qnn", "onnxruntime"]
    data = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    runs = [Reference(read_onnx(refused, {})).run({"x": each[None]}) for each in data]
    target = np.concatenate([run["y"] for run in runs])
    np.savez(tmp_path / "data.npz", x=data, **{"target:y": target})
    options = EvaluationOptions(metrics=("mse",), output="y")
    found = evaluate(tmp_path / "parts", tmp_path / "data.npz", [], options=options)
    (place,) = found.places
    assert place.figures[0].value < 1e-5
    assert (place.place, place.samples_per_second) == ("this computer (simulated)", None)


def test_values_beyond_half_floats_and_open_axes_are_refused(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        options = replace(QNN, precision=precision)
        with pytest.raises(ModelError, match=r"beyond what half floats hold at 'grow', 'middle'"):
            make_bundle(wide_model(tmp_path / "wide.onnx"), tmp_path / "b", options)
    with pytest.raises(UsageError, match="cannot keep grow in fp32"):
        small = wide_model(tmp_path / "small.onnx", factor=3.0)
        make_bundle(small, tmp_path / "b", replace(QNN, keep_float=("grow",)))
    nodes = [helper.make_node("Relu", ["x"], ["y"], "relu")]
    path = save(model(nodes, {"x": ("N", 4)}, {"y": ("N", 4)}), tmp_path / "open.onnx")
    with pytest.raises(ModelError, match=r"'x' of open.onnx has an open axis"):
        make_bundle(path, tmp_path / "b", replace(QNN, input_shapes=("x:{1..8}x4",)))


def test_too_little_to_calibrate_on_is_refused(tmp_path: Path) -> None:
    with np.load(CALIBRATION) as file:
        few = {name: array[:3] for name, array in file.items()}
    np.savez(tmp_path / "few.npz", **few)
    with pytest.raises(UsageError, match="gives 3 samples"):
        quantize(DIGITS, tmp_path / "few.npz", tmp_path / "b", FAST)


def test_a_conversion_leaves_nothing_behind_and_prints_nothing_else(tmp_path: Path) -> None:
    """Qualcomm's library writes to standard output, which is for results."""
    words = ("convert", str(DIGITS), "--runtime", "qnn", "-o", "made", "--json")
    done = deployx(tmp_path, None, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert "LIBNATIVE" not in done.stdout + done.stderr
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_a_process_that_dies_is_told_with_its_model(digits: Bundle) -> None:
    with QnnProcess(digits.path("onnx"), find_soc(DEFAULT_SOC)) as process:
        image = {"image": np.zeros((1, 1, 8, 8), dtype=np.float32)}
        assert process.run(image, ["scores"])["scores"].shape == (1, 10)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"QNN died of SIGKILL on .*\.onnx"):
            process.run(image, ["scores"])
