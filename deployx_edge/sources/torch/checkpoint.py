"""Weights out of checkpoints, whatever else trainers put into them; no pickle runs code.

First by torch's own reader, which takes tensors and plain values. A checkpoint that holds objects
of other classes too (the history of mmengine's Runner, a Lightning module's arguments) is read
again with something inert in their place.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.sources.onnx.loading import one_line
from deployx_edge.sources.placeholders import refuse_placeholder

if TYPE_CHECKING:
    import torch

# Where trainers put the weights in a checkpoint that also holds other things.
_STATE_KEYS = ("state_dict", "model_state_dict", "model", "ema", "net")
# What DataParallel and torch.compile put into the names of a model that they wrap.
_WRAPPERS = ("module", "_orig_mod")
# What the older format of torch.save begins with: the pickle of its magic number.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_SAVE = "Save it by torch.save(model.state_dict(), PATH)."
TORCHSCRIPT = "TorchScript"
PROGRAM = "a program of torch.export"
CHECKPOINT = "a checkpoint of torch.save"
# The functions and classes that tensors are made of; all others become inert.
_NEEDED = {
    "collections": ("OrderedDict",),
    "torch": (
        *("Size", "device", "bool", "float16", "float32", "float64", "bfloat16"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    ),
    "torch._utils": (
        "_rebuild_tensor",
        "_rebuild_tensor_v2",
        "_rebuild_tensor_v3",
        "_rebuild_parameter",
    ),
}


def kind_of(path: Path) -> str:
    """TORCHSCRIPT, PROGRAM or CHECKPOINT; "" for what PyTorch did not write.

    ModelError for an empty file and a git-lfs pointer.
    """
    refuse_placeholder(path)
    names = members(path)
    if any(name.endswith("/constants.pkl") for name in names):
        return TORCHSCRIPT
    if any(name.endswith(("/archive_format", "models/model.json")) for name in names):
        return PROGRAM
    with path.open("rb") as file:
        legacy = file.read(len(_LEGACY)) == _LEGACY
    return CHECKPOINT if legacy or any(n.endswith("/data.pkl") for n in names) else ""


def members(path: Path) -> list[str]:
    """The names of an archive's files; none where it is not an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return []


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint; ModelError where there is none, or the file is another."""
    if not path.is_file():
        raise UsageError(f"The checkpoint {path} does not exist.")
    kind = kind_of(path)
    if kind in (TORCHSCRIPT, PROGRAM):
        raise ModelError(
            f"{path} is {kind}, a whole model, and no checkpoint.",
            remedy=f"Give it as the model itself, without --checkpoint. Or, for weights: {_SAVE}",
        )
    if not kind:
        raise ModelError(
            f"{path} is not a checkpoint: torch.save did not write it, or only a part of it is "
            "there.",
            remedy="Copy or download it again.",
        )
    content, is_plain = _content(path)
    for key in ("", *_STATE_KEYS):
        inner = content.get(key) if key and isinstance(content, dict) else content
        if isinstance(inner, dict) and inner and _are_tensors(inner):
            return dict(inner)
    if not is_plain:
        raise ModelError(
            f"The checkpoint {path} holds more than weights: its pickle wants to run code.",
            remedy=_SAVE,
        )
    raise ModelError(
        f"The checkpoint {path} is not a state dict, nor holds one as {', '.join(_STATE_KEYS)}.",
        remedy=_SAVE,
    )


def fit_names(
    state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The weights by the model's ``own`` names, where wrappers changed them."""
    by_bare = {_bare(name): name for name in own}
    if len(by_bare) < len(own):  # names that only the wrappers' tell apart
        return dict(state)
    found = {}
    for name, tensor in state.items():
        target = name if name in own else by_bare.get(_bare(name), name)
        if target == name or target not in state:
            found[target] = tensor
    return found


def torch_said(error: BaseException) -> str:
    """An error of torch's in one line, without its advice to read files unsafely."""
    sentences = re.split(r"(?<=[.!?:]) ", one_line(error))
    kept = [each for each in sentences if not re.search("weights_only|safe_globals|trust", each)]
    return " ".join(kept).rstrip(".:") or type(error).__name__


def _bare(name: str) -> str:
    return ".".join(word for word in name.split(".") if word not in _WRAPPERS)


def _content(path: Path) -> tuple[Any, bool]:
    """What is in the file, and whether all of it is plain: tensors, numbers, text, containers."""
    import torch

    mapped = bool(members(path))
    try:
        plain = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        pass
    except Exception as error:  # torch names no base for broken files
        raise ModelError(f"The checkpoint {path} cannot be read: {torch_said(error)}.") from error
    else:
        return plain, True
    reader = SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="inert")
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=reader, mmap=mapped
        ), False
    except Exception as error:  # a broken pickle ends in any of them
        raise ModelError(f"The checkpoint {path} cannot be read: {torch_said(error)}.") from error


class _Inert:
    """In the place of whatever a pickle names and weights do not need: it does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return self

    def take(self, *_: Any, **__: Any) -> None:
        """What pickles do with objects: their state, the items of lists, dictionaries and sets."""

    __setstate__ = __setitem__ = append = extend = add = update = take


class _Unpickler(pickle.Unpickler):
    """Makes tensors and plain values; whatever else is named becomes inert, and is never run."""

    def find_class(self, module: str, name: str) -> Any:
        """The function or class, where tensors are made of it."""
        import importlib

        if name in _NEEDED.get(module, ()):
            return getattr(importlib.import_module(module), name)
        return _Inert


def _load(file: IO[bytes], **options: Any) -> Any:
    return _Unpickler(file, **options).load()


def _are_tensors(values: Mapping[Any, Any]) -> bool:
    import torch

    return all(isinstance(name, str) and torch.is_tensor(value) for name, value in values.items())
