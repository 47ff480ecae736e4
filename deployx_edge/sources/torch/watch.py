"""What a trace freezes: values that were read out of tensors into Python while it was recorded.

torch's tracer records operators. Where Python code asks a tensor for its value (a branch, a
count, ``.item()``), the trace goes on with the one value of the example, and torch warns. Most
of these warnings are about sizes, which are fixed unless the user leaves axes open, or about
constants; those that tell of the inputs' values are found by following which tensors depend on
them, through every operator that runs.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from deployx_edge.sources.torch.following import Following

# The ways out of a tensor into Python, and those of other values into a constant tensor.
_METHODS = (
    "__bool__",
    "__int__",
    "__float__",
    "__complex__",
    "__index__",
    "__len__",
    "__iter__",
    "__array__",
    "item",
    "tolist",
    "numpy",
)
_SIZES = ("size", "numel")
_FUNCTIONS = ("tensor", "as_tensor", "asarray", "from_numpy")
_KINDS = {"__len__": "length", "__iter__": "count of a loop"}
_READ = re.compile(r"Converting a tensor to an? (.+?) might")
_TOLD = 60
# The exporters' own folders, whose lines tell the user nothing, and Python's.
_OURS = str(Path(__file__).resolve().parents[2])
_PYTHON = sysconfig.get_paths()["stdlib"]


@dataclass(frozen=True, kw_only=True)
class FrozenValue:
    """A value that a trace keeps: where it was read, as what, and what decides it.

    ``place`` is FILE:LINE, ``code`` that line; ``cause`` is "values" or "sizes" of the inputs.
    """

    place: str
    code: str
    kind: str
    cause: str

    def __str__(self) -> str:
        return f"{self.place} `{self.code}` (a {self.kind} out of the inputs' {self.cause})"


@dataclass(kw_only=True)
class _Reading:
    """One warning of the tracer's; ``value`` is what was read, as text."""

    place: str
    code: str
    kind: str
    depends: bool
    value: str = ""

    def frozen(self, cause: str) -> FrozenValue:
        return FrozenValue(place=self.place, code=self.code, kind=self.kind, cause=cause)


class WatchedToTheEnd(Exception):  # noqa: N818  # nothing went wrong
    """A function that is watched has run; what an exporter would do next is not needed."""


class Watch:
    """Sees what is read out of tensors while a function is traced; ``attach`` it before.

    Operators are followed one layer below the tracer, which then misses some of them: so what
    comes of such a trace is good for nothing, and it ends in WatchedToTheEnd.
    """

    def __init__(self) -> None:
        self._readings: list[_Reading] = []
        self._calls: list[tuple[str, Any]] = []
        self._following: Following | None = None
        self._stack = ExitStack()
        self._busy = False
        # Whether the function ran to its end.
        self.is_whole = False

    def attach(self, function: torch.nn.Module, free: Sequence[bool]) -> None:
        """Watch every run: what the rest may depend on is what it is given, where ``free``."""
        function.register_forward_pre_hook(
            lambda _, tensors: self._start(list(compress(tensors, free)))
        )
        function.register_forward_hook(lambda *_: self._stack.close(), always_call=True)
        function.register_forward_hook(lambda *_: self._end())

    def _end(self) -> None:
        self.is_whole = True
        raise WatchedToTheEnd

    def by_values(self) -> tuple[FrozenValue, ...]:
        """What depends on the inputs' values, each place once."""
        found = {each.place: each.frozen("values") for each in self._readings if each.depends}
        return tuple(found.values())

    def by_sizes(self, others: Sequence[Watch]) -> tuple[FrozenValue, ...]:
        """What does not depend on values, but became another one in one of the ``others``.

        These watched the same function at other sizes.
        """
        valued = {each.place for each in self._readings if each.depends}
        mine = {place: found for place, found in self.sized().items() if place not in valued}
        return tuple(
            readings[0].frozen("sizes")
            for place, readings in mine.items()
            if any(
                [each.value for each in readings]
                != [each.value for each in other.sized().get(place, ())]
                for other in others
            )
        )

    def sized(self) -> dict[str, list[_Reading]]:
        """What was read that does not depend on values, by its place."""
        places: dict[str, list[_Reading]] = {}
        for reading in self._readings:
            if not reading.depends:
                places.setdefault(reading.place, []).append(reading)
        return places

    def _start(self, tensors: Sequence[torch.Tensor]) -> None:
        # PyTorch is imported late.
        from deployx_edge.sources.torch.following import Following

        self._stack.close()
        self._following = self._stack.enter_context(Following(tensors))
        self._stack.enter_context(_warnings_to(self._on_warning))
        self._stack.enter_context(_calls_through(self._on_call))

    def _on_call(self, name: str, original: Callable[..., Any], *words: Any, **named: Any) -> Any:
        """Run what Python code called, and remember of which tensors while it runs."""
        if self._busy:
            return original(*words, **named)
        before = len(self._readings)
        self._calls.append((name, (words, named)))
        try:
            result = original(*words, **named)
        finally:
            self._calls.pop()
        self._busy = True
        try:
            for reading in self._readings[before:]:
                reading.value = reading.value or _text(result, words)
            if name in ("shape", *_SIZES) and self._following is not None:
                self._following.note_sizes(words[0], result)
        finally:
            self._busy = False
        return result

    def _on_warning(self, text: str) -> None:
        name, words = self._calls[-1] if self._calls else ("", None)
        if self._busy or self._following is None or _is_harmless(text, words):
            return
        read = _READ.search(text)
        place, code = _place()
        if code.startswith("assert "):  # there is no other way to go on
            return
        self._readings.append(
            _Reading(
                place=place,
                code=code,
                kind=read[1] if read else _KINDS.get(name, "constant"),
                # What cannot be told is not taken for harmless.
                depends=words is None
                or self._following.depends(words, shapes=name in ("__len__", "__iter__")),
            )
        )


def _is_harmless(text: str, words: tuple[Any, ...] | None) -> bool:
    """Of writing in place, which freezes nothing; and of torch.tensor(), which keeps a tensor."""
    import torch

    is_kept = words is not None and bool(words[0]) and torch.is_tensor(words[0][0])
    return "live references" in text or ("registered as constants" in text and is_kept)


@contextmanager
def places_traced() -> Iterator[list[str]]:
    """The places where values are read out of tensors, while the user's own code traces."""
    found: list[str] = []

    def take(text: str) -> None:
        place, code = _place()
        if _READ.search(text) and not code.startswith("assert "):
            found.append(f"{place} `{code}`")

    with _warnings_to(take):
        yield found


@contextmanager
def _warnings_to(tell: Callable[[str], None]) -> Iterator[None]:
    """Hand the tracer's warnings on at the moment they are given; others are dropped."""
    from torch.jit._trace import TracerWarning

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, TracerWarning):
            tell(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


@contextmanager
def _calls_through(call: Callable[..., Any]) -> Iterator[None]:
    """Lead what reads tensors in Python through ``call``, with its name and what it is."""
    import torch

    with ExitStack() as stack:
        for name in (*_METHODS, *_SIZES):
            stack.enter_context(_placed(torch.Tensor, name, _through(call, name, torch.Tensor)))
        for name in _FUNCTIONS:
            stack.enter_context(_placed(torch, name, _through(call, name, torch)))
        shape = torch.Tensor.shape.__get__  # type: ignore[attr-defined]
        stack.enter_context(
            _placed(torch.Tensor, "shape", property(lambda tensor: call("shape", shape, tensor)))
        )
        yield


def _through(call: Callable[..., Any], name: str, holder: Any) -> Callable[..., Any]:
    original = getattr(holder, name)

    def called(*words: Any, **named: Any) -> Any:
        return call(name, original, *words, **named)

    return called


@contextmanager
def _placed(holder: Any, name: str, value: Any) -> Iterator[None]:
    own = vars(holder).get(name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        if own is None:  # what it inherits is seen again
            delattr(holder, name)
        else:
            setattr(holder, name, own)


def _text(result: Any, words: Sequence[Any]) -> str:
    """What was read, as text; of an iteration how many there are."""
    import torch

    if torch.is_tensor(result):
        digest = hashlib.sha256(result.detach().double().numpy(force=True).tobytes()).hexdigest()
        return f"{tuple(result.shape)} {digest}"
    if hasattr(result, "__next__"):
        return str(len(words[0]))
    return str(result)


def _place() -> tuple[str, str]:
    """FILE:LINE and the line of the user's code that runs, else of torch's that it called."""
    import torch

    library = str(Path(torch.__file__).parent)
    inner = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if file.startswith(library) and inner is None:
            inner = (file, line)
        if not file.startswith((library, _OURS, "<")) and not _is_pythons(file):
            return _shown(file, line)
        frame = frame.f_back
    return _shown(*(inner or ("?", 0)))


def _is_pythons(file: str) -> bool:
    return file.startswith(_PYTHON) and "site-packages" not in file


def _shown(file: str, line: int) -> tuple[str, str]:
    """The file as it is imported, without where it lies on this computer."""
    found = Path(file)
    roots = sorted((str(Path(root).resolve()) for root in sys.path), key=len, reverse=True)
    root = next((root for root in (*roots, str(Path.cwd())) if found.is_relative_to(root)), None)
    shown = found.relative_to(root).as_posix() if root else found.name
    return f"{shown}:{line}", linecache.getline(file, line).strip()[:_TOLD]
