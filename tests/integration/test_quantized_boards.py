"""int8 on boards: as accurate as in float, and code for code what this computer computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployx_edge.bundle import Bundle
from deployx_edge.config import load_config
from deployx_edge.errors import DeployxError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.quantization.values import PRESETS
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.ncnn.files import read_table
from deployx_edge.runtimes.runner import open_converted, take_into
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from examples.shapes.drawing import draw_many
from tests.runtimes import GENERAL

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "digits"
MODEL, TEST = DIGITS / "digits_cnn.onnx", DIGITS / "digits_test.npz"
BOARDS = ("local:", "virtual:linux-arm64?cpu=cortex-a53", "virtual:linux-arm64?cpu=cortex-a76")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("digits") / "int8"
    options = QuantizeOptions(preset="fast", settings=PRESETS["fast"])
    return quantize(MODEL, DIGITS / "digits_calibration.npz", folder, options).bundle


@pytest.mark.parametrize("device", BOARDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_board_is_within_a_point_of_the_reference(
    digits: Bundle, device: str, precision: str
) -> None:
    """``precision`` is of what is not int8; where x86 has none, its run is marked so."""
    options = EvaluationOptions(run=RunOptions(precision=precision))
    found = evaluate(digits.folder, TEST, [device], reference=MODEL, options=options)
    (place,) = found.places
    assert place.precision.startswith("int8")
    assert found.reference is not None
    assert abs(place.figures[0].value - found.reference.figures[0].value) <= 0.01
    assert place.agreement is not None
    assert place.agreement >= 0.98


def drawn(folder: Path, side: int) -> Path:
    """Images to calibrate on: none of those that the examples are measured on."""
    folder.mkdir(parents=True)
    for index, image in enumerate(draw_many(1, 32, side)):
        Image.fromarray(image.pixels).save(folder / f"{index}.png")
    return folder


@dataclass(frozen=True, kw_only=True)
class Example:
    """One of the networks that see shapes: in float as ONNX, in int8, and its data."""

    source: Path
    bundle: Bundle
    data: Path


def example(
    name: str, side: int, postprocess: str, folder: Path, runtime: str | None = None
) -> Example:
    options = BundleOptions(
        runtime="onnxruntime",
        input_shapes=(f"image:1x3x{side}x{side}",),
        torch=TorchOptions(checkpoint=EXAMPLES / name / f"{name}.pt"),
    )
    source = make_bundle(Path(f"examples.{name}.model:{name}"), folder / "float", options)
    chosen = QuantizeOptions(
        preset="fast",
        settings=PRESETS["fast"],
        bundle=BundleOptions(runtime=runtime, preprocess=("std=255",), postprocess=(postprocess,)),
    )
    made = quantize(source.path("onnx"), drawn(folder / "drawn", side), folder / "int8", chosen)
    return Example(
        source=source.path("onnx"),
        bundle=made.bundle,
        data=EXAMPLES / name / "shapes_test.npz",
    )


DETECTION = "detection,labels=circle|square|triangle"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return example("detector", 128, DETECTION, tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Example:
    labels = "segmentation,labels=ground|circle|square|triangle"
    return example("segmenter", 96, labels, tmp_path_factory.mktemp("segmenter"))


@pytest.mark.parametrize("device", BOARDS)
def test_the_detector_is_within_two_points_of_the_reference(detector: Example, device: str) -> None:
    found = evaluate(detector.bundle.folder, detector.data, [device], reference=detector.source)
    (place,) = found.places
    assert found.reference is not None
    assert [figure.metric for figure in place.figures] == ["map"]
    assert found.reference.figures[0].value > 0.8
    assert abs(place.figures[0].value - found.reference.figures[0].value) <= 0.02


READERS = GENERAL


@pytest.mark.parametrize("runtime", READERS)
def test_the_detector_of_a_runtime_that_reads_onnx_is_the_same_on_arm(
    runtime: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What decodes its boxes is in int8 there too, so it loses more than ncnn's."""
    if runtime != READERS[0] and not request.config.getoption("--all"):
        pytest.skip("one of them is the sample: --all")
    made = example("detector", 128, DETECTION, tmp_path, runtime)
    devices = ["local:", "virtual:linux-arm64?cpu=cortex-a76"]
    found = evaluate(made.bundle.folder, made.data, devices, reference=made.source)
    here, arm = (place.figures[0].value for place in found.places)
    assert found.reference is not None
    assert abs(here - found.reference.figures[0].value) <= 0.1
    assert abs(arm - here) <= 0.02


@pytest.mark.parametrize("device", BOARDS)
def test_the_segmenter_is_within_a_point_of_the_reference(segmenter: Example, device: str) -> None:
    found = evaluate(segmenter.bundle.folder, segmenter.data, [device], reference=segmenter.source)
    (place,) = found.places
    assert found.reference is not None
    assert [figure.metric for figure in place.figures] == ["miou"]
    assert abs(place.figures[0].value - found.reference.figures[0].value) <= 0.01
    assert place.agreement is not None
    assert place.agreement >= 0.99


@pytest.mark.parametrize("device", BOARDS)
def test_the_board_computes_the_codes_that_this_computer_does(digits: Bundle, device: str) -> None:
    """Layers that hand on codes: a few of them may tip over, by one."""
    blobs = load_runtime("ncnn").make_runner().tensors(read_converted(digits))
    with np.load(TEST) as file:
        images = file["image"][:6]
    inputs = [{"image": image[None]} for image in images]
    here: list[dict[str, np.ndarray]] = [{} for _ in inputs]
    with open_converted(read_converted(digits)) as opened:
        for arrays, found in zip(inputs, here, strict=True):
            opened.run(arrays, blobs, take_into(found))
    table = read_table(digits.path("table"))
    codes = {
        "/features/features.2/Relu_output_0": table["/features/features.3/Conv"],
        "/features/features.5/Relu_output_0": table["/features/features.6/Conv"],
    }
    with open_session(load_config().find_device(device)) as session:
        for arrays, wanted in zip(inputs, here, strict=True):
            found = run(session, digits, arrays, dump=blobs)
            for blob in blobs:
                got, own = found[blob].reshape(-1), wanted[blob].reshape(-1)
                if blob in codes:
                    apart = np.abs(got - own) * codes[blob].activation
                    assert apart.max() < 1.5
                    assert (apart > 0.5).mean() <= 0.01
                else:
                    scale = np.abs(own).max()
                    assert np.abs(got - own).max() <= 0.03 * scale


def test_int8_weights_are_not_read_as_floats(digits: Bundle) -> None:
    """ncnn would do so, silently, where its int8 inference is off."""
    options = EvaluationOptions(run=RunOptions(named=(("int8_inference", "off"),)))
    with pytest.raises(DeployxError, match=r"are int8, which int8_inference=off cannot"):
        evaluate(digits.folder, TEST, ["local:"], options=options)


def test_compare_tells_what_ran_beside_the_limits(digits: Bundle) -> None:
    found = compare(MODEL, digits.folder, device="local:", options=RunOptions(precision="fp16"))
    assert found.precision == "int8"
    assert found.ran is not None
    assert "int8 (" in found.ran
    assert found.warning is None or "fp16 was asked for" in found.warning
    assert all(item.check.verdict in ("same", "rounded") for item in found.layers)


def test_compare_takes_codes_for_what_they_stand_for(digits: Bundle) -> None:
    found = compare(MODEL, digits.folder, device="virtual:linux-arm64")
    assert found.precision == "int8"
    assert len(found.layers) == 6
    assert all(item.check.verdict in ("same", "rounded") for item in found.layers)
