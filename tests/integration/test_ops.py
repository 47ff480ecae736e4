"""Operators of our own: each case of each, in every runtime, is as the reference has it."""

from __future__ import annotations

import pytest

from deployx_edge.operator_facts import OperatorFacts, all_operators
from deployx_edge.workflows.operators.testing import cases_of, check_operator


@pytest.mark.parametrize("facts", all_operators().values(), ids=lambda facts: facts.name)
def test_every_case_is_as_the_reference(facts: OperatorFacts) -> None:
    outcomes = check_operator(facts)
    assert len(outcomes) == len(cases_of(facts)) * len(facts.runtimes) > 0
    assert [each for each in outcomes if each.verdict != "right"] == []
