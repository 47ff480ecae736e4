"""Every operator case through the native converter and ncnn: right, or refused as expected."""

from __future__ import annotations

import pytest

from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import Outcome, run_all
from tests.integration.models.operators.reduction import REDUCTIONS
from tests.integration.models.support_table import PAGE, counts_of_page, support_text
from tests.sampling import sampled

_PROCESSES = 2
# So many of two thousand without --all.
_SAMPLED = 400
_SIDES = ("both", "swapped", "right", "left")

# The cases that are refused, and why. All others have to come out right.
REFUSED = {
    # ncnn's convolutions hold their weights.
    "conv/computed-weight",
    # It has elements behind all that the convolution reaches.
    "deconv/shape-large",
    # ONNX Runtime and shape inference disagree about it.
    *(
        f"deconv/{form}-same-output-padding"
        for form in (
            "1d-full",
            "1d-depthwise",
            "2d-full",
            "2d-depthwise",
            "3d-full",
            "3d-depthwise",
        )
    ),
    # ncnn's pooling has no dilation.
    "pool/MaxPool-dilated",
    "pool/AveragePool-dilated",
    # ncnn has no such layer.
    "unary/Det",
    # Powers of negative numbers by exponents that differ: ncnn takes logarithms.
    "binary/Pow-negative-channel",
    # More than ncnn's four dimensions.
    *(
        f"binary/{operator}-2x2x3x4x5-2x1x3x1x5-{side}"
        for operator in ("Add", "Sub")
        for side in _SIDES
    ),
    *(f"reduce/{operator}-2x2x3x4x5-0_2_4" for operator in REDUCTIONS),
    *(
        f"matmul/{operands}-{side}"
        for operands in ("2x2x3x4x7-3x7x5", "2x1x3x4x7-1x2x1x7x5")
        for side in ("both", "right", "left")
    ),
    "shuffle/DepthToSpace-batch",
    "shuffle/Col2Im-1d",
    # ncnn takes other neighbours for an even size; only images are normalized.
    "norm/LRN-4-1x7x5x6",
    "norm/LRN-4-1x16x5x6",
    "norm/LRN-1d",
    "norm/LRN-3d",
    # Forms that ncnn's resizing and sampling do not have.
    "resize/18-keep-ratio",
    "resize/crop",
    # Forms that ncnn's recurrent layers do not have.
    *(
        f"recurrent/{form}"
        for form in (
            "GRU-reset-first",
            "batch",
            "activations",
            "clip",
            "layout",
            "peepholes",
            "shorter",
        )
    ),
    # ncnn's attention keeps no past of this form, gives no scores and bounds none.
    *(
        f"attention/{form}"
        for form in ("past", "scores", "softcap", "causal-apart", "causal-heads", "mask-short")
    ),
    # Shape inference is wrong: it counts windows that begin behind the input.
    "pool/MaxPool-2d-ceil-3",
    "pool/AveragePool-2d-ceil-3",
    "pool/AveragePool-2d-ceil-3-counting",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", chosen(metafunc.config))


def chosen(config: pytest.Config) -> list[str]:
    """The cases of this run: some of those that come out right, and all that are refused."""
    names = [case.name for case in all_cases()]
    right = set(sampled([name for name in names if name not in REFUSED], config, _SAMPLED))
    return [name for name in names if name in right or name in REFUSED]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    return run_all(_PROCESSES, chosen(request.config))


def test_refused_cases_exist() -> None:
    assert {case.name for case in all_cases()} >= REFUSED


def test_operator(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.verdict == ("refused" if name in REFUSED else "right"), outcome.detail


def test_the_page_of_supported_operators_is_true(
    request: pytest.FixtureRequest, outcomes: dict[str, Outcome]
) -> None:
    """Where it fails: python -m tests.integration.models.support_table."""
    if not request.config.getoption("--all"):
        pytest.skip("the page is of the whole matrix: --all")
    assert PAGE.read_text(encoding="utf-8") == support_text(outcomes, counts_of_page())
