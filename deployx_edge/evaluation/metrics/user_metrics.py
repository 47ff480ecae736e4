"""Metrics of the user's own: ``module:function``.

A function takes (outputs, target) of one sample (arrays by the outputs' names, batch size 1;
``values.Target``) and gives a number; the metric is the mean over all samples. A class, made
without arguments, has ``update(outputs, target)`` and ``value`` (an attribute, or a method), for
what is not a mean.
"""

from __future__ import annotations

import difflib
import importlib
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.values import Answer, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]


class UserMetric:
    """A metric whose figures come from the user's code; what that raises is a UsageError."""

    unit = ""
    # An attribute ``higher_is_better`` of the user's function or class says so.
    higher_is_better: bool | None = None

    def __init__(self, name: str, made: Any) -> None:
        self.name = name
        self.higher_is_better = getattr(made, "higher_is_better", None)
        self._made = made
        self._values: list[float] = []
        self._count = 0

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return self._count

    @property
    def value(self) -> float:
        """The mean of the function's numbers, or the class's own figure."""
        if not self._count:
            raise UsageError("No sample was evaluated.")
        if not hasattr(self._made, "update"):
            return math.fsum(self._values) / len(self._values)
        with _explained(self.name):
            value = self._made.value
            return self._number(value() if callable(value) else value)

    @property
    def running(self) -> str:
        """How many samples: what the user's code takes for its figure is not known."""
        return f"{self.name} of {self._count}"

    @property
    def per_sample(self) -> tuple[float, ...]:
        """Sample by sample, the function's number; empty for a class."""
        return tuple(self._values)

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        outputs: Outputs = answer.outputs
        with _explained(self.name):
            if hasattr(self._made, "update"):
                self._made.update(outputs, target)
            else:
                self._values.append(self._number(self._made(outputs, target)))
        self._count += 1

    def _number(self, value: object) -> float:
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The metric {self.name} gave {type(value).__name__}, not a number."
            ) from error


def load_user_metric(name: str) -> UserMetric:
    """The metric that ``module:function`` names, found from the working folder too."""
    module_name, _, path = name.partition(":")
    words = path.split(".")
    if not all(word.isidentifier() for word in [*module_name.split("."), *words]):
        raise UsageError(f"'{name}' is not a metric.", remedy="Write package.module:function.")
    found: Any = _imported(module_name)
    for word in words:
        if not hasattr(found, word):
            near = difflib.get_close_matches(word, dir(found), n=3, cutoff=0.6)
            raise UsageError(
                f"{module_name} has no '{word}'.",
                remedy=f"Did you mean {' or '.join(near)}?" if near else "",
            )
        found = getattr(found, word)
    if isinstance(found, type):
        with _explained(name):
            found = found()
        if not (callable(getattr(found, "update", None)) and hasattr(found, "value")):
            raise UsageError(
                f"{name} is a class without update(outputs, target) and value.",
                remedy="Give it both, or write a function (outputs, target) -> float.",
            )
    elif not callable(found):
        raise UsageError(f"{name} is {type(found).__name__}, not a function.")
    return UserMetric(name, found)


def _imported(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{name} cannot be imported: there is no module '{error.name}'.",
            remedy="Run from the folder that holds it, or set PYTHONPATH.",
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"Importing {name} failed: {_told(error)}.") from error
    finally:
        sys.path.remove(here)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"The metric {name} failed: {_told(error)}.") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
