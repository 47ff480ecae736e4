"""The same work for several runtimes; what one of them refuses is kept with why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from deployx_edge.bundle import MANIFEST_NAME
from deployx_edge.errors import DeployxError, MissingToolError, ModelError, UsageError
from deployx_edge.progress import Progress, Stage
from deployx_edge.runtime import find_runtime

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Tried(Generic[Value]):
    """What came of a runtime at a precision: a value or an error."""

    runtime: str
    precision: str
    value: Value | None
    error: DeployxError | None

    @property
    def label(self) -> str:
        """How it is called in sentences: ``ncnn int8``."""
        return f"{self.runtime} {self.precision}"


def try_each(
    model: Path,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    work: Callable[[str, str], Value],
    progress: Progress,
) -> list[Tried[Value]]:
    """``work`` for each runtime and precision, in their order.

    Raises UsageError for a runtime that there is not, and ModelError, which names each with its
    reason, where all refuse.
    """
    for runtime in runtimes:
        find_runtime(runtime)
    ways = [(runtime, precision) for runtime in runtimes for precision in precisions]
    return try_all(model, ways, work, progress)


def try_all(
    model: Path,
    ways: Sequence[tuple[str, str]],
    work: Callable[[str, str], Value],
    progress: Progress,
) -> list[Tried[Value]]:
    """``work`` for each pair of a known runtime and a precision; raises as ``try_each``."""
    found = []
    for runtime, precision in ways:
        value, error = _try(runtime, precision, work)
        found.append(Tried(runtime=runtime, precision=precision, value=value, error=error))
        if error is not None:
            progress(Stage(text=f"{runtime} in {precision}: {error.message}"))
    if all(each.error is not None for each in found):
        raise none_supports(model, found)
    return found


def none_supports(model: Path, refused: Sequence[Tried[Value]]) -> DeployxError:
    """One error that names each runtime with its reason; where all say the same, that."""
    errors = [(each, each.error) for each in refused if each.error is not None]
    reasons: dict[str, list[str]] = {}
    for each, error in errors:
        reasons.setdefault(error.message, []).append(f"{each.runtime} in {each.precision}")
    if len(reasons) == 1:
        return errors[0][1]
    told = " ".join(f"{', '.join(names)}: {text}" for text, names in reasons.items())
    return ModelError(
        f"No runtime of those asked for supports {model.name}. {told}",
        remedy="`deployx-edge inspect` shows how each operator goes in each runtime.",
    )


def check_parent(output: Path) -> None:
    """UsageError where a folder for each runtime cannot lie in ``output``."""
    if output.exists() and (not output.is_dir() or (output / MANIFEST_NAME).exists()):
        what = "is a bundle" if output.is_dir() else "is not a folder"
        raise UsageError(
            f"{output} {what}; with several runtimes each gets a folder of its own in it.",
            remedy="Name another folder with -o, or move that one away.",
        )


def _try(
    runtime: str, precision: str, work: Callable[[str, str], Value]
) -> tuple[Value | None, DeployxError | None]:
    try:
        return work(runtime, precision), None
    except DeployxError as error:
        return None, error
    except ImportError as error:
        package = error.name or find_runtime(runtime).package
        return None, MissingToolError(
            f"The Python package {package} is not installed here.",
            remedy=f"Install it with: pip install {find_runtime(runtime).package}",
        )
