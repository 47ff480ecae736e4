"""Files and modules of users that register rewriters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from deployx_edge.errors import UsageError
from deployx_edge.rewriting import load_rewriters
from deployx_edge.rewriting.registry import DEFAULT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; what is imported and registered from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(DEFAULT, "_rewriters", dict(DEFAULT._rewriters))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if not isinstance(sys.modules[name], ModuleType) or str(tmp_path) in str(
            getattr(sys.modules[name], "__file__", "")
        ):
            del sys.modules[name]


REWRITER = """
from deployx_edge.rewriting import function_rewriter

@function_rewriter("{path}")
def rewritten(context):
    return 1
"""


def test_files_and_modules_are_loaded_once(folder: Path) -> None:
    (folder / "mine.py").write_text(REWRITER.format(path="a.b"))
    (folder / "rewriters_of_tests").mkdir()
    (folder / "rewriters_of_tests" / "__init__.py").touch()
    (folder / "rewriters_of_tests" / "more.py").write_text(REWRITER.format(path="a.c"))
    count = len(DEFAULT)
    for _ in range(2):
        load_rewriters(["mine.py", str(folder / "mine.py"), "rewriters_of_tests.more"])
    assert len(DEFAULT) == count + 2


BROKEN = {
    "x = (\n": r"SyntaxError at .*broken\.py:1",
    "x = 1\ny = x.no\n": r"AttributeError at .*broken\.py:2",
    "def f():\n    raise ValueError('no')\nf()\n": r"ValueError at .*broken\.py:2: no",
    "import no_such_module_at_all\n": r"ModuleNotFoundError at .*broken\.py:1",
    REWRITER.format(path="a.b") * 2: r"broken\.py:10: 'a\.b' has a function rewriter",
}


@pytest.mark.parametrize("code", BROKEN)
@pytest.mark.parametrize("word", ["broken.py", "broken"])
def test_a_file_that_fails_is_named_with_its_line(folder: Path, code: str, word: str) -> None:
    (folder / "broken.py").write_text(code)
    with pytest.raises(UsageError, match=BROKEN[code]):
        load_rewriters([word])


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"The file of rewriters no\.py does not exist"):
        load_rewriters(["no.py"])
    with pytest.raises(UsageError, match=r"There is no module 'no_such\.module'"):
        load_rewriters(["no_such.module"])
    with pytest.raises(UsageError, match=r"'a/b' is neither a module nor a \.py file"):
        load_rewriters(["a/b"])
