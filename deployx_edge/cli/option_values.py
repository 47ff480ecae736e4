"""What several commands make of the words that their options have (see ``options``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from deployx_edge.measurement.values import RunOptions, WorkerLimits
    from deployx_edge.workflows.convert.models import TorchOptions


def torch_options(
    checkpoint: Path | None,
    factory_arguments: str,
    exporter: str,
    rewriters: list[str] | None,
    settings: str,
    accept_frozen: bool,
) -> TorchOptions:
    """The options that say how a model comes out of PyTorch."""
    from deployx_edge.workflows.convert.models import TorchOptions

    return TorchOptions(
        checkpoint=checkpoint,
        factory_arguments=factory_arguments,
        exporter=exporter,
        rewriters=tuple(rewriters or ()),
        settings=settings,
        accept_frozen=accept_frozen,
    )


def run_options(
    *,
    threads: str,
    precision: str,
    cores: str,
    accelerator: str,
    switches: list[str] | None,
) -> list[RunOptions]:
    """Every combination of the threads and precisions that were asked for."""
    from deployx_edge.measurement.values import RunOptions

    named = _named(switches or [])
    return [
        RunOptions(threads=count, precision=each, cores=cores, accelerator=accelerator, named=named)
        for each in _words(precision, "--precision")
        for count in _numbers(threads, "--threads")
    ]


def single_run_options(**words: str | list[str] | None) -> RunOptions:
    """Like ``run_options`` for a command that runs one combination only."""
    found = run_options(**words)  # type: ignore[arg-type]
    if len(found) != 1:
        raise UsageError("This command takes one thread count and one precision.")
    return found[0]


def limits(*, memory_limit: int, watchdog: float, prepare: float, rebuild: bool) -> WorkerLimits:
    """``memory_limit`` in MiB, the others in seconds."""
    from deployx_edge.measurement.values import WorkerLimits

    return WorkerLimits(
        memory_bytes=memory_limit << 20,
        watchdog_seconds=watchdog,
        prepare_seconds=prepare,
        rebuild=rebuild,
    )


def runtime_words(text: str | None) -> tuple[str, ...]:
    """The runtimes that were asked for, each once; none where nobody said."""
    return () if text is None else tuple(_words(text, "--runtime"))


def precision_words(text: str | None) -> tuple[str, ...]:
    """The precisions that were asked for, each once; none where nobody said."""
    return () if text is None else tuple(_words(text, "--precision"))


def one_runtime(names: tuple[str, ...]) -> str | None:
    """The only one of them, or None where nobody said."""
    return names[0] if names else None


def check_has_board(switches: list[str] | None, devices: object) -> None:
    """UsageError where a runtime's options are given, which its worker takes, and no board."""
    if switches and not devices:
        raise UsageError(
            f"--option {switches[0]} is for a runtime's worker on a board, and no board is named.",
            remedy="Name one: --device local: is this computer as a board.",
        )


def _named(words: list[str]) -> tuple[tuple[str, str], ...]:
    from deployx_edge.worker_facts import check_option_words

    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--option {word} does not have the form NAME=VALUE.")
        if found.setdefault(name, value) != value:
            raise UsageError(f"--option gives {name} two values, {found[name]} and {value}.")
    named = tuple(sorted(found.items()))
    check_option_words(named)
    return named


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"{option} {text} has an empty entry.")
    return list(dict.fromkeys(words))


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(word) for word in _words(text, option)]
    except ValueError:
        raise UsageError(f"{option} {text} is not a number, nor numbers like 1,2,4.") from None
