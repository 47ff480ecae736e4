"""What the members of a JSON file of ours hold; ValueError says what is wrong with one."""

from __future__ import annotations

import re
from typing import Any


def check_members(document: Any, known: set[str], what: str) -> None:
    """It is an object without other members than those."""
    require(isinstance(document, dict), f"{what} is not a JSON object")
    unknown = sorted(set(document) - known)
    require(not unknown, f'{what} has an unknown member "{unknown[0] if unknown else ""}"')


def read_text_member(document: dict[str, Any], member: str, pattern: re.Pattern[str]) -> str:
    """A text of that form."""
    value = document.get(member)
    sound = isinstance(value, str) and pattern.fullmatch(value) is not None
    require(sound, f'"{member}" is not a text of the form {pattern.pattern}')
    return str(value)


def read_texts(document: dict[str, Any], member: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """A list of texts of that form; without the member an empty one."""
    values = document.get(member, [])
    sound = isinstance(values, list) and all(
        isinstance(each, str) and pattern.fullmatch(each) for each in values
    )
    require(sound, f'"{member}" is not a list of texts of the form {pattern.pattern}')
    return tuple(values)


def require(condition: bool, problem: str) -> None:
    """Raise the problem unless the condition holds."""
    if not condition:
        raise ValueError(problem)
