"""Layer by layer: which layer is the first to differ, and what the commands say of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from deployx_edge.comparison import LayerCheck, first_difference, structured_inputs
from deployx_edge.errors import BundleError, UsageError, VerificationError
from deployx_edge.measurement.values import PrecisionCount
from deployx_edge.runtimes import ncnn as ncnn_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.layerwise import compare_layers, source_side
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.compare import coarsest, compare
from tests.integration.models.onnx_models import (
    bypass,
    initializer,
    replace_initializer,
    save,
    small_cnn,
)

COMMAND = Path(sys.executable).with_name("deployx-edge")


def mutated(name: str) -> onnx.ModelProto:
    """The small network with something wrong from one layer on."""
    made = small_cnn()
    if name == "relu2":
        bypass(made, name)
    else:
        replace_initializer(made, name, initializer(made, name) * 1.1)
    return made


def layers_of(made: onnx.ModelProto, folder: Path) -> tuple[LayerCheck, ...]:
    """The tensors of a conversion of ``made`` beside those of the right network."""
    folder.mkdir()
    other = read_onnx(save(made, folder / "mutated.onnx"), {})
    outputs = (SourceTensor(name="scores", shape=(1, 6)),)
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=folder)
    converted = NativeConverter().convert(other, request)
    source = read_onnx(save(small_cnn(), folder / "right.onnx"), {})
    return compare_layers(converted, source_side(source), structured_inputs(source.inputs))


def test_a_right_conversion_differs_nowhere(tmp_path: Path) -> None:
    checks = layers_of(small_cnn(), tmp_path / "c")
    assert first_difference(checks) is None
    assert [item.check.output for item in checks] == ["r1", "r2", "r3", "p3", "scores"]
    assert [item.layer for item in checks][1:] == ["depthwise", "strided", "pool", "linear"]


@pytest.mark.parametrize(
    ("what", "tensor", "layer"),
    [("w2", "r2", "depthwise"), ("w3", "r3", "strided"), ("w4", "scores", "linear")],
)
def test_the_first_layer_that_differs_is_the_one_that_is_wrong(
    tmp_path: Path, what: str, tensor: str, layer: str
) -> None:
    first = first_difference(layers_of(mutated(what), tmp_path / "c"))
    assert first is not None
    assert (first.check.output, first.layer) == (tensor, layer)


def test_a_missing_activation_shows_where_names_are_left(tmp_path: Path) -> None:
    first = first_difference(layers_of(mutated("relu2"), tmp_path / "c"))
    assert first is not None
    assert first.check.output == "r3"  # "r2" is gone with its node


class _Wrong(NativeConverter):
    """Converts the network with a wrong filter in place of the right one."""

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        other = read_onnx(save(mutated("w3"), request.folder / "other.onnx"), {})
        return super().convert(other, request)


def test_a_refused_conversion_names_the_first_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncnn_runtime, "converters", lambda: {"native": _Wrong})
    with pytest.raises(VerificationError, match="first to differ is 'r3' of the layer 'strided'"):
        make_bundle(save(small_cnn(), tmp_path / "m.onnx"), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_the_command_shows_a_table_json_and_a_image(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_bundle(path, tmp_path / "b")
    words = [COMMAND, "compare", path, tmp_path / "b"]
    done = subprocess.run(
        [*words, "--export", tmp_path / "c.svg"], capture_output=True, text=True, check=True
    )
    assert "No tensor of 5 differs." in done.stdout
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["first_difference"] is None
    assert [row["layer"] for row in document["layers"]][-1] == "linear"
    # Another model under the same names is found out, with its own exit code.
    wrong = save(mutated("w3"), tmp_path / "wrong.onnx")
    done = subprocess.run(
        [COMMAND, "compare", wrong, tmp_path / "b"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 12
    assert "'r3' of the layer 'strided' (Convolution) is the first to differ" in done.stderr


def test_layers_without_names_are_matched_by_their_weights_and_order(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    nameless = make_bundle(path, tmp_path / "p", BundleOptions(converter="pnnx"))
    found = compare(path, nameless.folder)
    assert [item.check.output for item in found.layers] == ["r1", "r2", "r3", "scores"]
    assert first_difference(found.layers) is None
    wrong = compare(save(mutated("w3"), tmp_path / "wrong.onnx"), nameless.folder)
    first = first_difference(wrong.layers)
    assert first is not None
    assert first.check.output == "r3"


def test_two_bundles_of_one_model(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_bundle(path, tmp_path / "a")
    make_bundle(path, tmp_path / "b", BundleOptions(precision="bf16"))
    found = compare(tmp_path / "a", tmp_path / "b")
    assert (found.precision, len(found.layers)) == ("bf16", 6)
    assert first_difference(found.layers) is None
    assert max(item.check.relative_error for item in found.layers) > 1e-4


def test_to_convert_again_is_no_remedy_for_rounding(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_bundle(path, tmp_path / "b", BundleOptions(precision="bf16"))
    wrong = save(mutated("relu2"), tmp_path / "wrong.onnx")
    done = subprocess.run(
        [COMMAND, "compare", wrong, tmp_path / "b"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 12
    assert "compare with --precision fp32" in done.stderr
    assert "onvert the model again" not in done.stderr


@pytest.mark.parametrize(
    ("stored", "asked", "ran", "limits"),
    [
        ("fp32", "fp32", {"fp32": 5}, "fp32"),
        ("fp32", "fp16", {"fp16": 4, "fp32": 1}, "fp16"),
        ("fp32", "fp16", {"fp32": 5}, "fp16"),  # a processor without half floats
        ("fp32", "fp16", {"bf16": 3, "fp32": 2}, "bf16"),
        ("fp16", "fp32", {"fp32": 5}, "fp16"),
        ("fp32", "fp32", {"fp16": 1, "fp32": 9}, "fp16"),
        ("fp32", "fp32", {"fp32": 9}, "fp32"),
        ("int8", "fp32", {"int8": 2, "fp16": 3}, "int8"),
        ("int8", "fp16", {"fp16": 3}, "int8"),
        ("bf16", "fp16", {"fp16": 3}, "bf16"),
        ("fp32", "fp16", {}, "fp16"),
        ("fp16", "fp32", {"int32": 2}, "fp16"),
    ],
)
def test_limits_are_those_of_what_ran(
    stored: str, asked: str, ran: dict[str, int], limits: str
) -> None:
    counts = [PrecisionCount(precision=name, layers=count) for name, count in ran.items()]
    counts.append(PrecisionCount(precision="int8", layers=0))
    assert coarsest(stored, asked, counts) == limits


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    with pytest.raises(BundleError, match=r"bundle\.json is missing|is not a bundle"):
        compare(path, tmp_path)
    made = make_bundle(path, tmp_path / "p")
    with pytest.raises(UsageError, match="does not exist"):
        compare(tmp_path / "absent.onnx", made.folder)
    four = save(small_cnn(batch=4), tmp_path / "four.onnx")
    make_bundle(four, tmp_path / "f")
    with pytest.raises(UsageError, match="for a single sample"):
        compare(four, tmp_path / "f")
    other = save(small_cnn(), tmp_path / "other.onnx")
    made = onnx.load(other)
    made.graph.output[0].name = made.graph.node[-1].output[0] = "others"
    onnx.save(made, other)
    make_bundle(path, tmp_path / "b")
    with pytest.raises(UsageError, match="does not come from this model"):
        compare(other, tmp_path / "b")
