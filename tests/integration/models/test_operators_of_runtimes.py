"""The operator cases through the converter of every runtime that takes ONNX as it is.

ncnn, which does not, has tests of its own (``test_operators.py``): it refuses some by name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from deployx_edge.errors import ModelError, VerificationError
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConversionRequest
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.verification import verify
from deployx_edge.sources.onnx.file import SourceTensor, read_onnx
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import inputs_of
from tests.integration.models.operators.case import Case
from tests.runtimes import GENERAL
from tests.sampling import sampled

# So many of two thousand without --all.
_SAMPLED = 220
_RUNS = 4
# The reference itself does not run these, or gives NaN and infinity for most inputs.
BROKEN = {
    "attention/mask-short",
    "binary/Where-infinite",
    "deconv/shape-large",
    *(f"norm/LRN-{form}" for form in ("1d", "3d", "4-1x7x5x6", "4-1x16x5x6")),
    "recurrent/layout",
    "reduce/ReduceLogSum-all-0",
}
# What a runtime refuses, or computes otherwise than ONNX does: nothing of it gets into a bundle.
REFUSED = {
    "openvino": {
        "activation/HardSigmoid-alpha0-beta0.3",
        "deconv/shape-upper",
        "norm/LayerNormalization-broadcast",
        *(f"norm/LRN-{size}-1x{channels}x5x6" for size in (1, 3, 5) for channels in (7, 16)),
        *(f"pad/wrap-{axes}" for axes in ("width", "height", "both", "channels", "three", "none")),
        *(f"pad/wrap-{axes}" for axes in ("negative", "1d", "2d", "batch", "5d")),
        *(f"pool/AveragePool-{axes}d-pads-ceil-counting" for axes in (1, 2, 3)),
        "pool/MaxPool-2d-ceil-3",
        "recurrent/peepholes",
        *(f"resize/{mode}-half-same" for mode in ("nearest", "linear", "cubic")),
        *(f"resize/{case}" for case in ("18-antialias", "18-keep-ratio", "crop", "cubic-outside")),
        *("resize/GridSample-3d", "resize/half_pixel_symmetric", "shuffle/Col2Im-1d"),
    }
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        names = sampled([case.name for case in all_cases()], metafunc.config, _SAMPLED)
        metafunc.parametrize("name", names)


CASES = {case.name: case for case in all_cases()}


@pytest.mark.parametrize("runtime", GENERAL)
def test_a_case_comes_out_as_its_source(runtime: str, name: str, tmp_path: Path) -> None:
    if name in BROKEN | REFUSED.get(runtime, set()):
        with pytest.raises((ModelError, VerificationError)):
            converted_like_source(runtime, CASES[name], tmp_path)
    else:
        converted_like_source(runtime, CASES[name], tmp_path)


def converted_like_source(runtime: str, case: Case, folder: Path) -> None:
    import onnx

    path = folder / "case.onnx"
    onnx.save(case.model, path)
    source = read_onnx(path, {})
    inputs = [inputs_of(case, source, run) for run in range(_RUNS)]
    reference = Reference(source)
    first = reference.run(inputs[0])
    outputs = tuple(
        SourceTensor(name=output, shape=array.shape, dtype=source.output_dtypes[output])
        for output, array in first.items()
    )
    converter = next(iter(load_runtime(runtime).converters().values()))()
    converter.check(source)
    (folder / "made").mkdir()
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=folder / "made")
    made = converter.convert(source, request)
    # Noise does not vary what truth values and saturated scores say.
    verify(made, reference, inputs, accept_unproven=True)
