"""Whether what was exported from PyTorch computes what the module itself computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from deployx_edge.comparison import SEED
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.marks import find_marks, without_marks
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.sources.onnx.loading import one_line
from deployx_edge.sources.torch.function import run
from deployx_edge.sources.torch.state import StatefulError
from deployx_edge.sources.torch.trials import TorchInput, Trial, trials

# fp32 on both sides, in another order of sums; folded batch norms were seen to cost 1e-5.
_LIMIT = 1e-3
# Of what is changed to see how far rounding may carry: some units in the last place of a sum.
_NUDGE = 1e-6
_NUDGES = 3
# Operators whose results depend on which of equal values comes first.
_ORDERING = frozenset({"ArgMax", "ArgMin", "NonMaxSuppression", "TopK", "Unique"})
# Threads may add in another order.
_REPEATED = 1e-5
_ROOM = 4.0


def check_export(
    path: Path, function: Any, inputs: Sequence[TorchInput], *, accept_frozen: bool = False
) -> tuple[str, ...]:
    """Compare what was exported with the module on all ``trials``; gives what is to be told.

    ``function`` is the module as a function of tensors in the order of ``inputs``. Raises
    ModelError where an output is off by more than 0.1 % of its largest value, and by more than
    rounding explains: an exporter, or a rewriter, made another model of it, or kept one way
    where the module has several. With ``accept_frozen`` only what it was exported with must
    agree, and the rest is told. UsageError where the module does not run at sizes asked for.
    """
    try:
        session = _open(path)
    except Exception as error:  # ONNX Runtime's exceptions share no base
        return (f"What was exported could not be compared with PyTorch: {one_line(error)}.",)
    compared, off, first = 0, [], None
    for index, trial in enumerate(trials(inputs)):
        wanted = _module_gives(function, trial)
        if wanted is None:
            continue
        first = first or (trial, wanted)
        compared += 1
        given = dict(zip((each.name for each in inputs), trial.arrays, strict=True))
        wrong = _difference(session, given, wanted, partial(_room, function, trial, wanted))
        if not wrong or (index and _is_by_ties(path, function, first[0], trial, wanted)):
            continue
        _refuse_unrepeatable(function, trial, wanted)
        if not accept_frozen or index == 0:
            raise ModelError(
                f"The outputs of what was exported differ from the module's: on {trial} {wrong}.",
                remedy="A branch, a count or a size in Python may have become a constant; look "
                "at your rewriters, or try the other --exporter.",
            )
        off.append(f"on {trial} {wrong}")
    if first is not None:
        _refuse_unrepeatable(function, *first)
    if not off:
        return ()
    return (
        f"As accepted (--accept-frozen), it differs from the module on {len(off)} of {compared} "
        f"inputs; first {off[0]}.",
    )


def _is_by_ties(
    path: Path, function: Any, example: Trial, trial: Trial, wanted: Sequence[NDArray[Any]]
) -> bool:
    """Whether a difference can only come from equal values that are put in order.

    On unusual inputs scores saturate, many are exactly 1, and ONNX Runtime takes others of them
    first than PyTorch does; no small change moves them apart. So where the file orders values, and
    a trace in PyTorch alone, which keeps whatever an export keeps, gives what the module gives,
    nothing was kept.
    """
    shapes = [array.shape for array in trial.arrays]
    if shapes != [array.shape for array in example.arrays]:
        return False
    nodes = onnx.load(path, load_external_data=False).graph.node
    if not _ORDERING.intersection(node.op_type for node in nodes):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's were told
        try:
            given = tuple(torch.from_numpy(array) for array in example.arrays)
            trace = torch.jit.trace(  # type: ignore[no-untyped-call]
                function, given, check_trace=False
            )
            found = run(trace, [torch.from_numpy(array) for array in trial.arrays])
        except Exception:  # the user's code, or the tracer, may raise anything
            return False
    return len(found) == len(wanted) and all(map(_is_same, found, wanted))


def _open(path: Path) -> Any:
    """A session for what was exported, without the marks in it."""
    model = onnx.load(path, load_external_data=False)
    if not find_marks(model):
        return open_model(str(path))
    whole = without_marks(model).SerializeToString()
    return open_model(whole, folder=path.parent)


def _module_gives(function: Any, trial: Trial) -> list[NDArray[Any]] | None:
    """What the module gives; None where it does not take such inputs."""
    try:
        return run(function, [torch.from_numpy(array) for array in trial.arrays])
    except Exception as error:  # the user's code may raise anything
        if not trial.must_run:
            return None
        raise UsageError(
            f"The model does not run on {trial}: {type(error).__name__}: {one_line(error)}.",
            remedy="Give other sizes: --input NAME:1x3x{MIN..BEST..MAX}xWIDTH.",
        ) from error


def _difference(
    session: Any,
    given: dict[str, NDArray[Any]],
    wanted: Sequence[NDArray[Any]],
    room: Callable[[], list[float]],
) -> str:
    """What is wrong with what was exported on these inputs, as a clause; empty where nothing.

    ``room`` says how far each output may be off where it is beyond the limit.
    """
    taken = {value.name for value in session.get_inputs()}  # exporters drop what nobody reads
    outputs = [value.name for value in session.get_outputs()]
    if len(outputs) != len(wanted):
        return f"it gives {len(outputs)} outputs, not {len(wanted)}"
    try:
        found = session.run(outputs, {name: given[name] for name in given if name in taken})
    except Exception as error:  # ONNX Runtime's exceptions share no base
        return f"it cannot be run: {one_line(error)}"
    allowed: list[float] = []
    for index, (name, output) in enumerate(zip(outputs, found, strict=True)):
        if output.shape != wanted[index].shape:
            return f"the output '{name}' has the shape {output.shape}, not {wanted[index].shape}"
        off, largest = _distance(output, wanted[index])
        if off <= _LIMIT * max(largest, 1e-6):
            continue
        allowed = allowed or room()
        if off > allowed[index]:
            return f"the output '{name}' is off by {off:.3g}, its largest value is {largest:.3g}"
    return ""


def _distance(given: NDArray[Any], wanted: NDArray[Any]) -> tuple[float, float]:
    """How far they are at most from each other where ``wanted`` is finite, and how large it is."""
    found, right = given.astype(np.float64), wanted.astype(np.float64)
    judged = np.isfinite(right)
    error = np.abs(found[judged] - right[judged])
    error[np.isnan(error)] = np.inf
    return float(error.max(initial=0.0)), float(np.abs(right[judged]).max(initial=0.0))


def _room(function: Any, trial: Trial, wanted: Sequence[NDArray[Any]]) -> list[float]:
    """How far rounding may carry each output: as far as small changes of all numbers do.

    Where the module itself leaps then (equal scores that are sorted, a sum near 0 that is
    divided by), nobody can say which of the two is right.
    """
    generator = torch.Generator().manual_seed(SEED)
    room = [0.0] * len(wanted)
    tensors = [torch.from_numpy(array) for array in trial.arrays]
    # Zeros too must become different by more than is lost where they meet a bias: inputs are
    # taken for 1 at least.
    weights = [each for each in function.state_dict().values() if each.is_floating_point()]
    kept = [weight.clone() for weight in weights]
    for _ in range(_NUDGES):
        try:
            for weight in weights:
                weight.copy_(_nudged(weight, 0.0, generator))
            moved = run(function, [_nudged(tensor, 1.0, generator) for tensor in tensors])
        finally:
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)
        for index, (found, right) in enumerate(zip(moved, wanted, strict=True)):
            off = _distance(found, right)[0] if found.shape == right.shape else np.inf
            room[index] = max(room[index], _ROOM * off)
    return room


def _nudged(tensor: torch.Tensor, least: float, generator: torch.Generator) -> torch.Tensor:
    """The tensor with noise; ``least``: as if its values were so large at least."""
    if not tensor.is_floating_point() or not tensor.numel():
        return tensor
    noise = torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
    return tensor + (tensor.abs() + tensor.abs().mean().clamp(min=least)) * noise * _NUDGE


def _refuse_unrepeatable(function: Any, trial: Trial, wanted: Sequence[NDArray[Any]]) -> None:
    """ModelError where the module does not give the same again for the same inputs."""
    before = {name: tensor.clone() for name, tensor in function.named_buffers()}
    again = _module_gives(function, trial)
    if again is not None and all(map(_is_same, again, wanted)):
        return
    changed = [
        name.removeprefix("module.")
        for name, tensor in function.named_buffers()
        if name not in before or not torch.equal(tensor, before[name])
    ]
    why = (
        f"it changes its buffers {', '.join(changed)}"
        if changed
        else "it draws random numbers, or remembers what it was given before"
    )
    raise StatefulError(
        f"The module gives another result for the same input each time: {why}.",
        remedy="A bundle keeps nothing between runs: make what is remembered an input and an "
        "output of the module.",
    )


def _is_same(given: NDArray[Any], wanted: NDArray[Any]) -> bool:
    if given.shape != wanted.shape:
        return False
    off, largest = _distance(given, wanted)
    return off <= _REPEATED * max(largest, 1e-6)
