"""Or on inputs that broadcast, computed and constant."""

from deployx_edge.workflows.operators.shared_cases import LOGIC

CASES = LOGIC
