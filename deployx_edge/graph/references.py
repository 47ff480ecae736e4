"""What an operator is by definition: the function in its ``reference.py``, found and run.

What it is given and gives is checked, so that what is wrong with it is said of it, and not of a
kernel that was held against it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.operator_file import FACTS_FILE, OperatorFacts, PortFact, misfit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE = "reference.py"
_FUNCTION = "reference"
_TYPED = ("float32", "int64", "int32", "bool")


def has_reference(facts: OperatorFacts) -> bool:
    """Whether the operator's folder holds one."""
    return (facts.folder / _FILE).is_file()


def find_reference(facts: OperatorFacts) -> Callable[..., Any] | None:
    """The function ``reference`` of the operator's ``reference.py``; None where there is no file.

    UsageError for a file that cannot be loaded, or has no such function.
    """
    if not has_reference(facts):
        return None
    found = getattr(load_file(facts.folder / _FILE), _FUNCTION, None)
    if not callable(found):
        raise UsageError(
            f"{facts.folder / _FILE} has no function '{_FUNCTION}', which says what the operator "
            f"{facts.name} computes.",
            remedy="Write it (docs/adding-an-op.md): it is given the inputs and attributes.",
        )
    return found  # type: ignore[no-any-return]


def load_file(path: Path) -> ModuleType:
    """A Python file of an operator's folder, by its path."""
    name = f"deployx_operator_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where onnxscript looks for what a function names
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        del sys.modules[name]
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}.") from error
    return module


def run_reference(
    facts: OperatorFacts,
    function: Callable[..., Any],
    inputs: Sequence[NDArray[Any] | None],
    attributes: Mapping[str, Any],
) -> tuple[NDArray[Any], ...]:
    """What it makes of a node's inputs in their order, and of those attributes that are said: an
    array for each output of ``op.toml``, of the type that this says.

    ModelError where it raises, changes an input, or gives something else; and for a node that is
    not as ``op.toml`` says.
    """
    unfit = misfit(facts, [each is not None for each in inputs], attributes)
    if unfit:
        raise ModelError(
            f"A node of the operator {facts.name} is not as {facts.folder / FACTS_FILE} says: "
            f"{unfit}.",
            remedy="Correct the model, or the file.",
        )
    said = f"The reference of the operator {facts.name} ({facts.folder / _FILE})"
    defaults = {each.name: each.default for each in facts.attributes}
    missing = [None] * (len(facts.inputs) - len(inputs))
    given = {**defaults, **attributes}
    try:
        made = function(*map(_unchangeable, inputs), *missing, **given)
    except Exception as error:  # whatever a user's function raises
        raise ModelError(
            f"{said} fails: {type(error).__name__}: {error}.", remedy=_way_out(error, given)
        ) from error
    several = isinstance(made, tuple) or (isinstance(made, list) and len(facts.outputs) > 1)
    arrays = tuple(made) if several else (made,)
    if len(arrays) != len(facts.outputs):
        raise ModelError(
            f"{said} gives {len(arrays)} outputs, op.toml names {len(facts.outputs)}.",
            remedy="Return a tuple with an array for each, in their order.",
        )
    results = []
    for port, array in zip(facts.outputs, arrays, strict=True):
        dtype = _dtype(port, facts.inputs, inputs)
        held = _held(array, dtype)
        if held is None:
            raise ModelError(
                f"{said} gives {_described(array)} as its output '{port.name}', op.toml says "
                f"{dtype}.",
                remedy="Return an array of that type, or correct the type in op.toml.",
            )
        results.append(held)
    return tuple(results)


def _unchangeable(array: NDArray[Any] | None) -> NDArray[Any] | None:
    """The array, which whoever is given it cannot change for others that read it."""
    if array is None:
        return None
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def _way_out(error: Exception, attributes: Mapping[str, Any]) -> str:
    if "read-only" in str(error):
        return "It must not change its inputs: let it compute on a copy (x = x.copy())."
    unsaid = sorted(name for name, value in attributes.items() if value is None)
    if unsaid:
        return (
            f"The node leaves out the attribute '{unsaid[0]}', which has no default in op.toml, so "
            "that it is None: give it a default there, or the node a value."
        )
    return ""


def _held(made: Any, dtype: str) -> NDArray[Any] | None:
    """What was made, as an array of that type; None where that does not hold it."""
    import numpy as np

    try:
        array: NDArray[Any] = np.asarray(made)
    except ValueError:  # lists of several lengths
        return None
    if array.dtype.kind not in "fiub":
        return None
    with np.errstate(all="ignore"):
        held: NDArray[Any] = array.astype(dtype)
        holds_all = held.dtype.kind == "f" or np.array_equal(held.astype(array.dtype), array)
    return held if bool(holds_all) else None


def _described(made: Any) -> str:
    import numpy as np

    if isinstance(made, (np.ndarray, np.generic)):
        return f"values of {made.dtype} that it does not hold"
    return "None" if made is None else f"a {type(made).__name__}"


def _dtype(port: PortFact, ports: Sequence[PortFact], inputs: Sequence[NDArray[Any] | None]) -> str:
    """Of an output: its own, or that of the inputs that share it."""
    if port.type in _TYPED:
        return port.type
    shared = zip(ports, inputs, strict=False)
    found = (a.dtype for each, a in shared if each.type == port.type and a is not None)
    return str(next(found, "float32"))
