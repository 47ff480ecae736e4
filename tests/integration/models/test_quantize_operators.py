"""What `convert` takes, `quantize` takes: the matrix of operators, each between int8 layers."""

from __future__ import annotations

import pytest

from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import Outcome
from tests.integration.models.quantize_runner import quantize_all
from tests.integration.models.support_table import counts_of_page, quantized_counts
from tests.sampling import sampled

# A process of each runtime goes through all of its cases.
_COUNTS = {"ncnn": 16, "onnxruntime": 10}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" not in metafunc.fixturenames:
        return
    names = [case.name for case in all_cases()]
    pairs = [
        (runtime, name)
        for runtime, count in _COUNTS.items()
        for name in sampled(names, metafunc.config, count)
    ]
    metafunc.parametrize(("runtime", "name"), pairs)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, dict[str, Outcome]]:
    names = [case.name for case in all_cases()]
    return {
        runtime: quantize_all(runtime, sampled(names, request.config, count))
        for runtime, count in _COUNTS.items()
    }


def test_operator(runtime: str, name: str, outcomes: dict[str, dict[str, Outcome]]) -> None:
    """Int8 with the scales that ONNX Runtime's values lead to, or refused as `convert` does."""
    outcome = outcomes[runtime][name]
    assert outcome.verdict in ("right", "refused"), outcome.detail


def test_the_page_says_how_much_is_quantized(
    request: pytest.FixtureRequest, outcomes: dict[str, dict[str, Outcome]]
) -> None:
    """Where it fails: python -m tests.integration.models.support_table."""
    if not request.config.getoption("--all"):
        pytest.skip("the page counts the whole matrix: pytest --all")
    counts, page = quantized_counts(outcomes["ncnn"]), counts_of_page()
    assert page == {operator: counts[operator] for operator in page}
