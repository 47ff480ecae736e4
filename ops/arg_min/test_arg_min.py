"""ArgMin along every axis, with ties, kept and dropped."""

from deployx_edge.workflows.operators.shared_cases import PLACES

CASES = PLACES
