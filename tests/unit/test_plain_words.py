"""Messages and help are whole sentences in the field's words."""

import ast
import re
from pathlib import Path

import click
import pytest

import deployx_edge
from tests.commands import whole_commands

PACKAGE = Path(deployx_edge.__file__).parent
# What stands there and what the field says.
REFUSED = {
    r"(?<!here )\bis no (?!longer|more|such)\w": "is not a",
    r"\bcan(not)? be had\b": "is (not) available",
    r"\bso many\b": "the number of",
    r"(?<!left )\bbehind (it|that|the|them|a)\b": "after",
    r"\bset aside\b": "blocked, quarantined",
    r"computes something else": "its outputs differ",
    r"\bpictures?\b": "image",
    r"\bemitter\b": "native converter",
}
# A half sentence begins so.
HALF = re.compile(r"(Of|So|As|For|Where|E\.g\.|Without|Into|On the|Also|Stays)\b")


COMMANDS = whole_commands()


def texts(tree: ast.AST):
    """String constants that are no docstrings, with their lines."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_no_message_says_it_in_our_dialect():
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if "v1" in file.parts:
            continue
        for line, text in texts(ast.parse(file.read_text())):
            if " " in text:
                found += [
                    f"{file.relative_to(PACKAGE)}:{line}: {text[:70]!r}; say: {instead}"
                    for pattern, instead in REFUSED.items()
                    if re.search(pattern, text)
                ]
    assert "\n".join(found) == ""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_is_made_of_whole_sentences(command):
    wrong = []
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        if text is None or (isinstance(parameter, click.Option) and "--help" in parameter.opts):
            continue
        if not text.rstrip().endswith((".", ")", "?")) or HALF.match(text):
            wrong.append((parameter.name, text))
    assert not wrong
    summary = command.help or ""
    for pattern in REFUSED:
        assert not re.search(pattern, summary)
