"""The words that users write of one step, by key: ``KEY=VALUE`` texts and YAML."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.files import SMALL, parse_json, parse_yaml, read_text
from deployx_edge.model import NamedShape, PostProcessing, PreProcessing
from deployx_edge.processing.steps.writing import step_text

PREPROCESS, POSTPROCESS = "--preprocess", "--postprocess"
_HELP = {
    PREPROCESS: "Write it like resize=224x224,colour=rgb,mean=124/116/104,std=58.4/57.1/57.4.",
    POSTPROCESS: "Write it like softmax,labels=cat|dog, or detection,labels=cat|dog.",
}
_YAML = (".yaml", ".yml")


def step_texts(words: Sequence[str | PreProcessing | PostProcessing]) -> tuple[str, ...]:
    """Every step as a text of its own: of a YAML file one a mapping that it holds.

    What a dictionary's file holds is in the text. Raises UsageError for a file that cannot be
    read, or holds anything but mappings.
    """
    return tuple(
        _with_dictionary(text)
        for word in words
        for text in (_unfolded(word) if isinstance(word, str) else [step_text(word)])
    )


def _with_dictionary(text: str) -> str:
    """The text with the characters of a dictionary's file in place of the file's name."""
    if "dictionary" not in text:
        return text
    words = Words(text, POSTPROCESS)
    if not isinstance(words.text_of("dictionary"), str):
        return text
    source, characters = words.dictionary("dictionary")
    return words.replaced("dictionary", {"from": source, "characters": characters})


class Words:
    """The words of one step by key, each as what the user wrote; UsageError for what is off."""

    def __init__(self, text: str, option: str) -> None:
        self._option = option
        unfolded = _unfolded(text)
        if len(unfolded) != 1:
            raise UsageError(f"{text} holds {len(unfolded)} mappings; one is wanted here.")
        if unfolded[0].lstrip().startswith("{"):
            self._words = self._mapping(unfolded[0])
        else:
            self._words = self._listed(unfolded[0])

    def _mapping(self, text: str) -> dict[str, Any]:
        data = _loaded(text, None)
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise UsageError(f"'{text[:80]}' is not a mapping of keys.", remedy=_HELP[self._option])
        return data

    def _listed(self, text: str) -> dict[str, Any]:
        words: dict[str, Any] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            if not key.strip() or key.strip() in words:
                raise UsageError(
                    f"'{text}' is not a list of different KEY=VALUE.", remedy=_HELP[self._option]
                )
            words[key.strip()] = value.strip()
        return words

    def refuse_others(self, known: Sequence[str]) -> None:
        """UsageError for a key that is not among those known, with the one nearest to it."""
        stray = next((key for key in self._words if key not in known), None)
        if stray is not None:
            near = difflib.get_close_matches(stray, known, n=1, cutoff=0.6)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{self._option} does not know '{stray}'.{meant}", remedy=_HELP[self._option]
            )

    def given(self, key: str) -> bool:
        """Whether the user wrote it."""
        return key in self._words

    def text(self, key: str, otherwise: str, *, joined: str = "/") -> str:
        """The word, or what a list of words is in one text."""
        value = self._words.get(key, otherwise)
        if isinstance(value, list):
            return joined.join(map(str, value))
        return str(value)

    def flag(self, key: str) -> bool:
        """Whether it is there, and does not say no."""
        return key in self._words and self._words[key] not in (False, "false", "no", "off")

    def choice(self, key: str, choices: Sequence[str], otherwise: str) -> str:
        """One of the choices."""
        value = self.text(key, otherwise)
        # YAML takes a bare `none` for a text, but an empty value and `null` for nothing.
        if value not in choices:
            raise UsageError(f"{self._option} {key} is {' or '.join(choices)}, not '{value}'.")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Names with ``|`` between them, or a list of them."""
        value = self._words.get(key, "")
        if isinstance(value, list):
            if not all(
                isinstance(name, str | int) and not isinstance(name, bool) for name in value
            ):
                raise UsageError(
                    f"{self._option} {key} holds something else than names.",
                    remedy='Write "yes", "no" and numbers with a point in quotation marks.',
                )
            return tuple(str(name) for name in value)
        return tuple(str(value).split("|")) if value != "" else ()

    def text_of(self, key: str) -> Any:
        """What is there as it is; None where nothing is."""
        return self._words.get(key)

    def replaced(self, key: str, value: Any) -> str:
        """All words as one mapping, with another value for that key."""
        return json.dumps({**self._words, key: value}, ensure_ascii=False)

    def dictionary(self, key: str) -> tuple[str, tuple[str, ...]]:
        """A dictionary's name and its characters, one a line of its file; none without the key.

        ``step_texts`` has put the characters in place of the file already, else it is read here.
        """
        value = self._words.get(key)
        if value is None:
            return "", ()
        if isinstance(value, dict):
            entries = value.get("characters")
            if isinstance(entries, list) and all(isinstance(entry, str) for entry in entries):
                return str(value.get("from", key)), tuple(entries)
        if not isinstance(value, str) or not value:
            raise UsageError(f"{self._option} {key} is not the name of a file.")
        try:
            text = read_text(Path(value), most=SMALL).removeprefix("\ufeff")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"The dictionary {value} cannot be read: {reason}.") from error
        return f"The dictionary {value}", tuple(text.removesuffix("\n").split("\n"))

    def numbers(self, key: str, count: int, otherwise: Sequence[float]) -> tuple[float, ...]:
        """One number for all, or ``count`` of them."""
        text = self.text(key, "/".join(map(repr, otherwise)))
        try:
            numbers = tuple(float(part) for part in text.split("/"))
        except ValueError:
            numbers = ()
        if len(numbers) == 1:
            numbers *= count
        if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
            raise UsageError(
                f"{self._option} {key}={text} must hold one number, or {count} with / between them."
            )
        return numbers

    def fraction(self, key: str, otherwise: float) -> float:
        """A number, or one over another: ``1/255``."""
        text = self.text(key, repr(otherwise))
        if text.count("/") != 1:
            return self.numbers(key, 1, (otherwise,))[0]
        over, under = self.numbers(key, 2, ())
        if under == 0.0:
            raise UsageError(f"{self._option} {key}={text} divides by zero.")
        return over / under

    def share(self, key: str, otherwise: float) -> float:
        """A number from 0 to 1."""
        (value,) = self.numbers(key, 1, (otherwise,))
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"{self._option} {key}={value} is not from 0 to 1.")
        return value

    def interval(self, key: str) -> tuple[float, float]:
        """The lower and the higher of two numbers; of a single one that and 0."""
        text = self.text(key, "")
        low, high = self.numbers(key, 2, ()) if "/" in text else (0.0, *self.numbers(key, 1, ()))
        if not low < high:
            raise UsageError(
                f"{self._option} {key}={text} does not go from a lower to a higher number.",
                remedy=f"Write {key}=LOW/HIGH, or {key}=HIGH for 0/HIGH.",
            )
        return low, high

    def whole(self, key: str, low: int, high: int, otherwise: int = 0) -> int:
        """A whole number from ``low`` to ``high``."""
        text = self.text(key, str(otherwise))
        if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
            raise UsageError(f"{self._option} {key}={text} is not a whole number {low} to {high}.")
        return int(text)

    def chosen(self, key: str, specs: Sequence[NamedShape]) -> NamedShape:
        """The tensor that it names, or the only one there is."""
        names = ", ".join(spec.name for spec in specs)
        if key not in self._words:
            if len(specs) == 1:
                return specs[0]
            raise UsageError(f"Say which tensor is meant; there are {names}.")
        name = self.text(key, "")
        for spec in specs:
            if spec.name == name:
                return spec
        raise UsageError(f"There is no tensor '{name}'; there are {names}.")


def _unfolded(word: str) -> list[str]:
    if not word.lower().endswith(_YAML):
        return [word]
    data = _loaded(word, Path(word))
    entries = data if isinstance(data, list) else [data]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{word} is not a mapping, nor a list of mappings.")
    try:
        return [json.dumps(entry, ensure_ascii=False) for entry in entries]
    except TypeError as error:
        raise UsageError(f"{word} holds something else than texts and numbers: {error}.") from error


def _loaded(text: str, path: Path | None) -> Any:
    if path is None:
        with suppress(ValueError):  # what this package writes, ten times as fast as by YAML
            return parse_json(text)
    try:
        return parse_yaml(text if path is None else read_text(path, most=SMALL))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{text[:80]} cannot be read as YAML: {reason}.") from error
