"""What is told of a bundle whose runtime only boards have."""

from __future__ import annotations

from deployx_edge.distributions import installed_version
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.setup import checker_version


def unrun_notes(runtime: str) -> tuple[str, ...]:
    """A sentence on what stood in for it and who checked the model; nothing where it runs here."""
    facts = find_runtime(runtime)
    if facts.runs_here:
        return ()
    stand_in = f"{facts.package} {installed_version(facts.package)}"
    checked = checker_version(runtime)
    return (
        f"{facts.title} itself was not run: {stand_in} stood in for it on this computer, and "
        + (
            f"{facts.checker} {checked} took the model."
            if checked
            else "its operators were looked up in a table."
        )
        + " What a board makes of it is shown by compare --device.",
    )
