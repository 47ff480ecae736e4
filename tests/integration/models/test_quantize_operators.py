"""What `convert` takes, `quantize` takes: the matrix of operators, each between int8 layers."""

from __future__ import annotations

import pytest

from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import Outcome
from tests.integration.models.quantize_runner import quantize_all
from tests.sampling import sampled

# A process of each runtime goes through all of its cases.
_COUNTS = {"ncnn": 16, "onnxruntime": 10}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
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
