"""SNPE on this computer, with tools that stand in for Qualcomm's SDK, which nobody may hand on."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from deployx_edge.config import user_file
from deployx_edge.errors import DeployxError, MissingToolError, ModelError, UsageError
from deployx_edge.progress import silent
from deployx_edge.qairt import VARIABLES, find_sdk
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.snpe import tools
from deployx_edge.runtimes.snpe.dlc import check_archive
from deployx_edge.runtimes.snpe.encodings import split_quantized
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from tests.integration.stand_in_sdk import (
    NEW,
    OLD,
    VERSION,
    copy_tool,
    install_sdk,
    make_sdk,
    quick_python,
)
from tests.integration.test_examples import deployx

EXAMPLES = Path(__file__).parents[3] / "examples" / "digits"
DIGITS, TEST = EXAMPLES / "digits_cnn.onnx", EXAMPLES / "digits_test.npz"
CALIBRATION = EXAMPLES / "digits_calibration.npz"
NAME = "snpe"
OPTIONS = BundleOptions(runtime=NAME)
SAID = {"input_shapes": ("image:1x1x8x8",), "output_shapes": ("scores:1x10",)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A stand-in SDK with its environment, and the settings that name both."""
    return install_sdk(tmp_path_factory.mktemp("qualcomm"))


@pytest.fixture
def sdk(installed, monkeypatch):
    for key, value in installed.items():
        monkeypatch.setenv(key, value)
    return Path(installed[VARIABLES[0]])


@pytest.fixture
def no_sdk(monkeypatch, tmp_path):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def float_bundle(installed, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for key, value in installed.items():
            patch.setenv(key, value)
        return make_bundle(DIGITS, tmp_path_factory.mktemp("float") / "b", OPTIONS)


def shapes_of(bundle):
    return {spec.name: spec.shape for spec in (*bundle.inputs, *bundle.outputs)}


def test_the_digits_are_converted_and_compared(float_bundle, sdk):
    assert [file.role for file in float_bundle.files] == ["dlc"]
    assert float_bundle.provenance.verification.status == "passed"
    assert dict(float_bundle.provenance.tools)[NAME] == VERSION
    found = compare(DIGITS, float_bundle.folder)
    assert [layer.check.verdict for layer in found.layers] == ["same"]


def test_the_digits_in_int8_have_ppqs_ranges(sdk, tmp_path):
    options = QuantizeOptions(bundle=OPTIONS)
    made = quantize(DIGITS, CALIBRATION, tmp_path / "b", options).bundle
    assert made.precision == "int8"
    assert made.provenance.verification.status == "passed"
    with zipfile.ZipFile(made.path("dlc")) as archive:
        about = json.loads(archive.read("stand-in.json"))
    assert about["quantized"]
    ranges = about["ranges"]
    convolutions = [each for each in ranges["param_encodings"].values() if len(each) > 1]
    assert convolutions
    assert all(e["is_symmetric"] == "True" and e["offset"] == -128 for c in convolutions for e in c)
    for (each,) in ranges["activation_encodings"].values():
        assert each["bitwidth"] == 8
        assert each["min"] <= 0 <= each["max"]
        assert each["max"] - each["min"] == pytest.approx(255 * each["scale"])
    few = {name: array[:3] for name, array in np.load(TEST).items()}
    np.savez(tmp_path / "few.npz", **few)
    words = (made.folder, "--reference", DIGITS, "--dataset", tmp_path / "few.npz")
    done = deployx("evaluate", *words, "--json")
    (place,) = json.loads(done.stdout)["places"]
    assert place["place"] == "this computer (simulated)"
    assert place["samples_per_second"] is None


@pytest.fixture
def older(sdk, tmp_path):
    """The SDK without the tools that newer releases brought."""
    place = sdk / "bin" / "x86_64-linux-clang"
    for name in NEW:
        shutil.move(place / name, tmp_path / name)
    yield place
    for name in NEW:
        shutil.move(tmp_path / name, place / name)


def test_older_releases_have_tools_of_other_names(older, tmp_path):
    made = make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime=NAME, verify=False))
    assert check_archive(made.path("dlc"))["converter-version"] == VERSION
    with pytest.raises(UsageError, match=f"has no {NEW[0]}, which alone writes half floats"):
        make_bundle(DIGITS, tmp_path / "h", BundleOptions(runtime=NAME, precision="fp16"))
    (older / OLD[0]).unlink()
    try:
        with pytest.raises(MissingToolError, match=f"has no {NEW[0]} or {OLD[0]}"):
            make_bundle(DIGITS, tmp_path / "n", OPTIONS)
    finally:
        copy_tool(older / OLD[0])


FAULTS = {
    "refuse": r"refuses digits_cnn\.onnx at the operator 'Conv' \(node '.*Conv'\): .*not supported",
    "die": r"died \(signal 11\) on digits_cnn\.onnx",
    "silent": r"ended without a word, and without digits_cnn\.dlc",
    "moved": r"is float32 1x1x8x8 in the source and float32 1x8x8x1 in digits_cnn\.dlc",
    "broken": r"damaged|cannot be read as a DLC",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tool_that_fails_is_told_in_one_sentence(fault, sdk, tmp_path, monkeypatch):
    monkeypatch.setenv("DX_STAND_IN_SDK", fault)
    with pytest.raises(ModelError, match=FAULTS[fault]) as caught:
        make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    assert caught.value.exit_code == 10
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "b").exists()
    if fault == "refuse":
        assert "--partition" in caught.value.remedy
        assert "refuses digits_cnn.onnx" in deployx("inspect", DIGITS, "--runtime", NAME).stdout


def test_a_tool_that_hangs_is_ended(sdk, tmp_path, monkeypatch):
    path = sdk / "bin/x86_64-linux-clang" / "qairt-converter"
    path.write_text("#!/bin/sh\nsleep 1000\n")
    monkeypatch.setattr(tools, "LONGEST", 0.3)
    try:
        with pytest.raises(DeployxError, match="qairt-converter was ended after"):
            make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    finally:
        copy_tool(path)


def test_a_dlc_is_taken_as_it_is(float_bundle, sdk, tmp_path):
    given = Path(shutil.copyfile(float_bundle.path("dlc"), tmp_path / "given.dlc"))
    made = make_bundle(given, tmp_path / "b")
    assert made.runtime == NAME
    assert made.provenance.verification.status == "no-reference"
    assert shapes_of(made) == shapes_of(float_bundle)
    assert made.path("dlc").read_bytes() == given.read_bytes()
    with pytest.raises(UsageError, match="is a model for SNPE, not for ncnn"):
        make_bundle(given, tmp_path / "c", BundleOptions(runtime="ncnn"))
    with pytest.raises(UsageError, match="has no input 'x'; it has image"):
        make_bundle(given, tmp_path / "c", BundleOptions(input_shapes=("x:1x1x8x8",)))
    with pytest.raises(UsageError, match="is 1x1x8x8, not 1x1x9x9"):
        make_bundle(given, tmp_path / "c", BundleOptions(input_shapes=("image:1x1x9x9",)))


def test_without_an_sdk_a_dlc_is_taken_with_what_somebody_says(float_bundle, no_sdk, tmp_path):
    given = Path(shutil.copyfile(float_bundle.path("dlc"), tmp_path / "given.dlc"))
    with pytest.raises(UsageError, match="told by Qualcomm's SDK only") as caught:
        make_bundle(given, tmp_path / "b")
    assert "--output-shape NAME:1x1000" in caught.value.remedy
    deployx(
        *("convert", str(given), "--input", SAID["input_shapes"][0]),
        *("--output-shape", SAID["output_shapes"][0], "-o", str(tmp_path / "b"), "--json"),
    )
    made = make_bundle(tmp_path / "b")
    assert shapes_of(made) == shapes_of(float_bundle)
    assert NAME not in dict(made.provenance.tools)
    with pytest.raises(MissingToolError, match="SDK is not configured"):
        compare(DIGITS, made.folder)
    given.with_suffix(".csv").write_text(
        "Input Name,Dimensions,Type,Encoding Info\n"
        'image,"1,1,8,8",uFxp_8,"bitwidth 8, min 0.0, max 1.0"\n'
        "Output Name,Dimensions,Type,Encoding Info\n"
        'scores,"1,10",uFxp_8,"bitwidth 8"\nTotal parameters: 1\n'
    )
    read = make_bundle(given, tmp_path / "c")
    assert (read.precision, shapes_of(read)) == ("int8", shapes_of(float_bundle))


def damaged(path, how):
    """The DLC with one fault."""
    content = bytearray(path.read_bytes())
    if how == "cut":
        return bytes(content[: len(content) // 2])
    if how == "a bit":
        content[len(content) // 3] ^= 1
    if how == "text":
        return b"not a DLC\n"
    if how == "empty":
        return b""
    return bytes(content)


@pytest.mark.parametrize("how", ["cut", "a bit", "text", "empty"])
def test_a_damaged_dlc_is_refused(how, float_bundle, no_sdk, tmp_path):
    path = tmp_path / "given.dlc"
    path.write_bytes(damaged(float_bundle.path("dlc"), how))
    with pytest.raises(ModelError) as caught:
        make_bundle(path, tmp_path / "b", BundleOptions(**SAID))
    assert str(path) in caught.value.message
    assert not (tmp_path / "b").exists()


def archive(path, **parts):
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name.replace("_", "."), text)
    return path


def test_another_archive_and_another_snpes_dlc_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"without a model, and no DLC: it holds a\.txt"):
        check_archive(archive(tmp_path / "a.dlc", a_txt="x"))
    with pytest.raises(ModelError, match=r"made by SNPE 1\.68\.0; SNPE 2 does not read it"):
        metadata = "converter-version=1.68.0\n"
        check_archive(archive(tmp_path / "b.dlc", model="x", dlc_metadata=metadata))


def test_an_outputs_shape_is_for_files_that_do_not_tell_theirs(tmp_path):
    with pytest.raises(UsageError, match="says itself which outputs it has"):
        make_bundle(DIGITS, tmp_path / "b", BundleOptions(output_shapes=("scores:1x10",)))
    with pytest.raises(UsageError, match="does not say an output's shape"):
        make_bundle(
            archive(tmp_path / "b.dlc", model="x"),
            tmp_path / "b",
            BundleOptions(output_shapes=("scores",)),
        )


def needs():
    return {need.name: need for need in load_runtime(NAME).setup().needs()}


def test_without_an_sdk_it_says_where_to_get_it_and_what_then_works(no_sdk, tmp_path):
    with pytest.raises(MissingToolError) as caught:
        make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    assert caught.value.exit_code == 4
    assert "Qualcomm's software centre" in caught.value.remedy
    assert VARIABLES[0] in caught.value.remedy
    assert "converted, quantized and compared" in caught.value.remedy
    done = deployx("runtimes", "doctor", NAME, "--json", code=4)
    (row,) = json.loads(done.stdout)["runtimes"]
    assert [need["found"] for need in row["needs"]] == ["not configured", "it needs the SDK"]
    assert VARIABLES[0] in row["needs"][0]["remedy"]
    with pytest.raises(MissingToolError, match="not configured"):
        load_runtime(NAME).setup().install(silent)


BROKEN = {
    "nowhere": ("is not a folder", lambda folder: None),
    "another": ("has no bin/x86_64-linux-clang", lambda folder: folder.mkdir()),
    "sdk": (
        "whose version is unknown",
        lambda folder: (make_sdk(folder) / "sdk.yaml").unlink(),
    ),
    "one": ("SNPE 1.68.0.3932", lambda folder: make_sdk(folder, version="1.68.0.3932")),
    "three": ("version 2 is wanted", lambda folder: make_sdk(folder, version="3.0.0.1")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_sdk_or_one_of_another_version_is_one_sentence(
    name, no_sdk, tmp_path, monkeypatch
):
    said, make = BROKEN[name]
    make(tmp_path / name)
    monkeypatch.setenv(VARIABLES[1], str(tmp_path / name))
    with pytest.raises(MissingToolError, match=f"{VARIABLES[1]} names.* {said}") as caught:
        make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    assert caught.value.exit_code == 4
    assert caught.value.remedy
    found = needs()["Qualcomm's SDK (QAIRT)"]
    assert not found.present
    assert said in found.found


def test_an_sdk_named_from_the_current_folder_works_elsewhere(no_sdk, tmp_path, monkeypatch):
    make_sdk(tmp_path / "sdk")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLES[0], "sdk")
    assert find_sdk().tools.is_absolute()


def test_the_folders_name_and_the_settings_tell_an_sdk(no_sdk, tmp_path, monkeypatch):
    (make_sdk(tmp_path / "snpe-2.10.0.4541") / "sdk.yaml").unlink()
    user_file().parent.mkdir(parents=True)
    user_file().write_text('[toolchains.qualcomm]\nsdk = "../../snpe-2.10.0.4541"\n')
    assert find_sdk().version == "2.10.0.4541"
    assert "deployx.toml" in find_sdk().origin
    monkeypatch.setenv(VARIABLES[1], str(make_sdk(tmp_path / "first")))
    assert find_sdk().origin == VARIABLES[1]
    assert find_sdk().version == VERSION


def test_the_tools_environment_is_made_by_the_sdks_own_script(no_sdk, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLES[0], str(make_sdk(tmp_path / "sdk")))
    with pytest.raises(MissingToolError, match="environment of their own: not installed") as caught:
        make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    assert f"deployx-edge runtimes install {NAME}" in caught.value.remedy
    user_file().parent.mkdir(parents=True)
    user_file().write_text('[toolchains.qualcomm]\npython = "/nowhere/python"\n')
    with pytest.raises(MissingToolError, match="names /nowhere/python, which does not start"):
        load_runtime(NAME).setup().install(silent)
    user_file().write_text(f'[toolchains.qualcomm]\npython = "{quick_python(tmp_path)}"\n')
    monkeypatch.setenv("DX_STAND_IN_SDK", "no-packages")
    with pytest.raises(
        MissingToolError, match=r"failed: ERROR: no matching distribution"
    ) as caught:
        load_runtime(NAME).setup().install(silent)
    assert "index, proxy" in caught.value.remedy
    assert not needs()["the SDK's Python packages"].present
    monkeypatch.delenv("DX_STAND_IN_SDK")
    (tmp_path / "sdk/bin/check-python-dependency").unlink()
    with pytest.raises(MissingToolError, match="has no bin/check-python-dependency"):
        load_runtime(NAME).setup().install(silent)


def test_a_quantized_model_becomes_floats_and_ranges():
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    pair = [("s", np.float32(0.5)), ("z", np.uint8(10))]
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in pair]
    constants.append(numpy_helper.from_array(np.array([[2, -128]], dtype=np.int8), "w"))
    constants.append(numpy_helper.from_array(np.array([0.1, 0.2], dtype=np.float32), "ws"))
    constants.append(numpy_helper.from_array(np.zeros(2, dtype=np.int8), "wz"))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=1),
        helper.make_node("MatMul", ["xd", "wd"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "s", "z"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, [3, 1])],
        [value("y", onnx.TensorProto.FLOAT, [3, 2])],
        constants,
    )
    floats, ranges = split_quantized(helper.make_model(graph))
    assert [(list(n.input), list(n.output)) for n in floats.graph.node] == [(["x", "wd"], ["y"])]
    (weights,) = floats.graph.initializer
    assert numpy_helper.to_array(weights) == pytest.approx(np.array([[0.2, -25.6]]))
    assert set(ranges["activation_encodings"]) == {"x", "y"}
    (told,) = ranges["activation_encodings"]["x"]
    assert (told["offset"], told["min"], told["max"]) == (-10, -5.0, 122.5)
    assert [each["offset"] for each in ranges["param_encodings"]["wd"]] == [-128, -128]
