"""Models that come as PyTorch: TorchScript files, exported programs, and factories in Python.

No pickle may run code: weights are read by ``torch.load(weights_only=True)``, and a file that
holds pickled modules is refused. A factory is the user's own code, and is run.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import MissingToolError, ModelError, UsageError
from deployx_edge.sources.onnx.loading import one_line
from deployx_edge.sources.torch.checkpoint import (
    CHECKPOINT,
    PROGRAM,
    fit_names,
    kind_of,
    read_weights,
    torch_said,
)
from deployx_edge.sources.torch.source import TorchSource
from deployx_edge.sources.torch.watch import places_traced

if TYPE_CHECKING:
    import torch

_NAMED = 3
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
_COLUMN = re.compile(r" # .+:\d+:(\d+)$", re.MULTILINE)
_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def load_torch(source: TorchSource) -> Any:
    """The module, script module or exported program, in evaluation mode on the CPU.

    Raises UsageError for a factory that cannot be found or called, ModelError for a file that
    cannot be read or holds what would run code, or a checkpoint that does not fit.
    """
    _require_torch()
    if source.is_factory:
        return _from_factory(source)
    if source.checkpoint is not None or source.arguments:
        raise UsageError(
            "--checkpoint and --factory-args belong to a package.module:factory, "
            f"not to the file {source.reference}."
        )
    path = Path(source.reference)
    if not path.is_file():
        raise UsageError(f"The model {path} does not exist.")
    return _exported(path) if path.suffix == ".pt2" else _script(path)


def traced_note(name: str, model: Any) -> tuple[str, ...]:
    """A warning where TorchScript was traced: nobody can see any more what that froze."""
    import torch

    if not isinstance(model, torch.jit.ScriptModule):
        return ()
    # A trace knows no columns of the Python code that it comes from; a script does.
    columns = set(_COLUMN.findall(str(model.inlined_graph)))
    if columns != {"0"}:
        return ()
    return (
        f"{name} was traced: where its Python code went several ways, by values or by sizes, it "
        "holds only the way that its example took.",
    )


def _require_torch() -> None:
    missing = [name for name in ("torch", "onnxscript") if not importlib.util.find_spec(name)]
    if missing:
        raise MissingToolError(
            f"Models from PyTorch need the Python package {' and '.join(missing)}.",
            remedy="pip install 'deployx-edge[torch]'.",
        )


def _from_factory(source: TorchSource) -> torch.nn.Module:
    import torch

    factory = _find_factory(source.reference)
    try:
        with places_traced() as frozen:
            model = factory(**source.arguments)
    except Exception as error:  # the user's code may raise anything
        raise UsageError(
            f"{source.reference} failed: {type(error).__name__}: {one_line(error)}.",
            remedy="Its arguments are given by --factory-args '{\"name\": value}'.",
        ) from error
    model = _unwrapped(model)
    if not isinstance(model, torch.nn.Module):
        raise UsageError(
            f"{source.reference} gave {type(model).__name__}; a factory gives a torch.nn.Module."
        )
    traces = any(isinstance(part, torch.jit.ScriptModule) for part in model.modules())
    if frozen and traces and not source.accept_frozen:
        raise ModelError(
            f"{source.reference} gives a trace, which keeps one value of what is read at "
            f"{'; '.join(dict.fromkeys(frozen))}.",
            remedy="Give a factory that returns the module itself: what depends on the inputs is "
            "told apart then. --accept-frozen says that every input goes the way of the example.",
        )
    if source.checkpoint is not None:
        _load_checkpoint(model, source.checkpoint)
    broken = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise ModelError(
            f"The weights {_listed(broken)} of {source.reference} hold NaN or infinite values.",
            remedy="The training diverged, or the checkpoint is damaged.",
        )
    return model.cpu().float().eval()


def _unwrapped(model: Any) -> Any:
    """The module itself, where torch.compile or DataParallel lie around it."""
    while type(model).__name__ in _WRAPPERS:
        model = getattr(model, _WRAPPERS[type(model).__name__])
    return model


def _find_factory(reference: str) -> Any:
    module_name, _, path = reference.partition(":")
    with _importable_from_here():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{module_name} cannot be imported: there is no module '{error.name}'.",
                remedy="Run from the folder that holds it, or set PYTHONPATH.",
            ) from error
        except Exception as error:  # the user's code may raise anything
            raise UsageError(
                f"Importing {module_name} failed: {type(error).__name__}: {one_line(error)}."
            ) from error
    for word in path.split("."):
        if not hasattr(found, word):
            near = difflib.get_close_matches(word, dir(found), n=_NAMED, cutoff=0.6)
            raise UsageError(
                f"{module_name} has no '{word}'.",
                remedy=f"Did you mean {' or '.join(near)}?" if near else "",
            )
        found = getattr(found, word)
    return found


@contextmanager
def _importable_from_here() -> Iterator[None]:
    """The working folder on the path of modules, as ``python -m`` has it."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _load_checkpoint(model: torch.nn.Module, path: Path) -> None:
    own = model.state_dict()
    state = fit_names(read_weights(path), own)
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    other = [name for name in own if name in state and own[name].shape != state[name].shape]
    wrong = [
        f"{word} {_listed(names)}"
        for word, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", other))
        if names
    ]
    if wrong:
        raise ModelError(
            f"The checkpoint {path} does not fit the model: {'; '.join(wrong)}.",
            remedy="Give the factory the arguments that the model was trained with.",
        )
    model.load_state_dict(state)


def _script(path: Path) -> torch.jit.ScriptModule:
    import torch

    kind = kind_of(path)
    if kind == CHECKPOINT:
        raise ModelError(
            f"{path} is not a TorchScript file: it was written by torch.save, and may run code "
            "when it is read.",
            remedy="Give package.module:factory with --checkpoint, or save it by torch.export.save "
            "or torch.jit.save.",
        )
    if kind == PROGRAM:
        raise ModelError(f"{path} is {kind}, not TorchScript.", remedy="Call it NAME.pt2.")
    if not kind:
        raise ModelError(
            f"{path} is not a file of PyTorch's, or only a part of one.",
            remedy="Copy or download it again.",
        )
    try:
        script: torch.jit.ScriptModule = _quietly(
            lambda: torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        )
        return script.eval()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {torch_said(error)}.") from error


def _exported(path: Path) -> torch.export.ExportedProgram:
    import pickle

    import torch

    kind = kind_of(path)
    if kind != PROGRAM:
        what = f", but {kind}" if kind else ", or only a part of one"
        raise ModelError(
            f"{path} is not an archive of torch.export{what}.", remedy="Export it again."
        )
    try:
        with _weights_only():
            program: torch.export.ExportedProgram = _quietly(lambda: torch.export.load(str(path)))
            return program
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than weights: a pickle in it wants to run code.",
            remedy="Export it again from a model that you trust.",
        ) from error
    except Exception as error:  # a broken archive ends in many of them
        raise ModelError(f"{path} cannot be read: {torch_said(error)}.") from error


@contextmanager
def _weights_only() -> Iterator[None]:
    """torch.export.load falls back to reading any pickle; torch's own switch forbids it."""
    before = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = before


def _quietly(load: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
