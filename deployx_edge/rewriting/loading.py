"""Taking up the rewriters that users keep in files of their own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from deployx_edge.errors import UsageError


def load_rewriters(words: Iterable[str]) -> None:
    """Run the modules that register rewriters.

    Each word is a ``package.module``, found from the current folder too, or the path of a
    ``.py`` file. What is loaded already is not run again. Raises UsageError, with file and
    line, where one cannot be found or fails.
    """
    for word in words:
        if word.endswith(".py"):
            _load_file(Path(word))
        else:
            _load_module(word)


def _load_module(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"'{name}' is neither a module nor a .py file.",
            remedy="Write package.module or path/to/rewriters.py.",
        )
    # It stays there, as for a script: the rewriters' paths may lead into modules beside them.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        importlib.import_module(name)
    except Exception as error:  # the user's code may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (name == missing or name.startswith(f"{missing}.")):
            raise UsageError(
                f"There is no module '{name}' to load rewriters from: '{missing}' is not found.",
                remedy=f"Looked in {Path.cwd()} and where Python finds its packages.",
            ) from error
        raise _failed(name, error) from error


def _load_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"The file of rewriters {path} does not exist.")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"deployx_edge_rewriters_{digest}_{path.stem}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        del sys.modules[name]
        raise _failed(str(path), error) from error


def _failed(what: str, error: Exception) -> UsageError:
    """The error with the place where it arose: the innermost line that is the user's own."""
    package = str(Path(__file__).parents[1])
    place = ""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            frame
            for frame in frames
            if not frame.filename.startswith((package, "<frozen"))
            and "importlib" not in frame.filename
        ]
        if own:
            place = f"{own[-1].filename}:{own[-1].lineno}"
    if isinstance(error, UsageError):
        return UsageError(f"{place}: {error.message}", remedy=error.remedy)
    text = error.msg if isinstance(error, SyntaxError) else error
    return UsageError(
        f"The rewriters of {what} cannot be loaded: {type(error).__name__} at {place}: {text}."
    )
