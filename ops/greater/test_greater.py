"""Greater on inputs that broadcast, equal and not, floats and whole numbers."""

from deployx_edge.workflows.operators.shared_cases import COMPARISONS

CASES = COMPARISONS
