"""Options that several commands share, under one name and one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.errors import UsageError
from deployx_edge.measurement.choices import ACCELERATORS, CORES, PRECISIONS
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES

if TYPE_CHECKING:
    from deployx_edge.measurement.values import RunOptions, WorkerLimits
    from deployx_edge.workflows.convert.models import TorchOptions


def complete_device(incomplete: str) -> list[str]:
    """For the shell: the devices that are known by name."""
    from deployx_edge.workflows.boards.devices import known_devices

    return [device.name for device in known_devices() if device.name.startswith(incomplete)]


def complete_target(incomplete: str) -> list[str]:
    """For the shell: the targets' ids."""
    from deployx_edge.target import targets

    names = [name for target in targets().values() for name in (target.id, *target.aliases)]
    return [name for name in names if name.startswith(incomplete)]


def check_export(path: Path | None) -> Path | None:
    """A file that cannot be drawn is refused before anything runs."""
    if path is not None:
        from deployx_edge.report.figures import check_suffix

        check_suffix(path)
    return path


ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="An .onnx file, one of PyTorch's (.pt, .pt2, package.module:factory), an ncnn .param "
        "or an SNPE .dlc file, or a bundle folder.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME|URI",
        help="A name in deployx.toml, or local:, virtual:linux-arm64, ssh:user@host[:port], "
        "adb:SERIAL.",
        autocompletion=complete_device,
    ),
]
DevicesOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME|URI[,…]",
        help="A name in deployx.toml, or local:, virtual:linux-arm64, ssh:user@host[:port]; "
        "several at once: pi,phone.",
        autocompletion=complete_device,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Use every device of deployx.toml at once.")]
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="Wait for a board that another run has, or refuse at once."
    ),
]
VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="Hash all files on the board first, also those hashed before."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Run a model again that took the board down.")
]
OptionalDeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME|URI",
        help="The device to run on, as for bench; without it, this computer.",
        autocompletion=complete_device,
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE.svg|png|pdf|html",
        help="Draw the result into a file as well, as a figure.",
        callback=check_export,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", metavar="FOLDER", help="The folder of the images that a list names."),
]
InputShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME:SHAPE|NAME=VALUE",
        help="An input's shape where the model leaves it open, or another than it says, e.g. "
        "image:1x3x224x224; :int64 after it if it is not float32; {224..640} for an axis that "
        "stays open. Or a value that an input is fixed to: sr=16000, scale=1,1, state=0.",
    ),
]
OutputShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--output-shape",
        metavar="NAME:SHAPE",
        help="An output and its shape, e.g. scores:1x1000, for a .dlc that nothing here can read; "
        "may be repeated.",
    ),
]
KeepFloatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-float",
        metavar="LAYER",
        help="A layer that stays fp32 where the rest has 16 bits; may be repeated.",
    ),
]
SamplesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--samples",
        metavar="FILE.npz|IMAGE|FOLDER",
        help="Inputs of your own to compare on, beside those made up; may be repeated.",
    ),
]
PreprocessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--preprocess",
        metavar="KEY=VALUE,…|FILE.yaml",
        help="How an image becomes an input, e.g. std=255,fit=letterbox (docs/bundle.md).",
    ),
]
PostprocessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--postprocess",
        metavar="KEY=VALUE,…|FILE.yaml",
        help="What outputs mean, e.g. softmax, detection,labels=cat|dog or segmentation.",
    ),
]
LikeOption = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="FAMILY",
        help="Propose pre- and post-processing as a family of models has it: yolov8, yolox, ssd, "
        "rtdetr, centerface, pp-ocr-det, pp-ocr-rec, crnn, classification or segmentation "
        "(docs/presets.md).",
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="A factory's weights: a state dict."),
]
FactoryArgumentsOption = Annotated[
    str, typer.Option("--factory-args", metavar="JSON", help="E.g. '{\"classes\": 10}'.")
]
AcceptFrozenOption = Annotated[
    bool,
    typer.Option(
        "--accept-frozen",
        help="Accept that a trace keeps one value of what depends on the inputs (a branch, a "
        "count, a size). The bundle names each.",
    ),
]
ExporterOption = Annotated[
    str,
    typer.Option("--exporter", help="PyTorch's: dynamo, torchscript, or auto for what works."),
]
RewriterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rewriter",
        metavar="MODULE|FILE.py",
        help="Rewriters for the export from PyTorch (docs/write-a-rewriter.md).",
    ),
]
SettingsOption = Annotated[
    str,
    typer.Option(
        "--settings",
        metavar="JSON",
        help="Settings as JSON, which rewriters find in context.config.",
    ),
]
ThreadsOption = Annotated[
    str,
    typer.Option(
        "--threads", help="The number of threads, or several: 1,2,4; 0 means all free cores."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", help=f"The precision to run in: {', '.join(PRECISIONS)}; several: fp32,fp16."
    ),
]
CoresOption = Annotated[
    str, typer.Option("--cores", help=f"The cores to run on: {', '.join(CORES)}.")
]
AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", help=f"What computes: {', '.join(ACCELERATORS)}.")
]
RuntimeNameOption = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        help=f"The runtime: {', '.join(RUNTIMES)}; by default {DEFAULT_RUNTIME}, or that of a "
        "bundle.",
    ),
]
FeedBackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--feed-back",
        metavar="OUTPUT=INPUT",
        help="Feed an output back as an input of the next run, on the board, as a recurrent or "
        "streaming model is used: stateN=state; may be repeated.",
    ),
]
RuntimesOption = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="NAME[,…]",
        help=f"The runtime, or several in one table: {', '.join(RUNTIMES)}; by default "
        f"{DEFAULT_RUNTIME}, or that of a bundle.",
    ),
]
_CHIPS = "; ".join(f"{row.name} has {', '.join(row.socs)}" for row in RUNTIMES.values() if row.socs)
SocOption = Annotated[
    str | None,
    typer.Option(
        "--soc",
        metavar="CHIP",
        help="The chip that files are made for, where a runtime makes them for one (the usual one "
        f"first): {_CHIPS}.",
    ),
]
RuntimeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of the runtime's own; may be repeated.",
    ),
]
WarmupOption = Annotated[int, typer.Option("--warmup", min=0, help="Runs before the timed ones.")]
IterationsOption = Annotated[int, typer.Option("--iterations", "-n", min=0, help="Timed runs.")]
LinkCostOption = Annotated[
    bool, typer.Option("--link/--no-link", help="Measure what the link costs as well.")
]
SecondsOption = Annotated[
    float,
    typer.Option(
        "--seconds", min=0.0, help="Time runs for this many seconds, instead of a number of runs."
    ),
]
PauseOption = Annotated[
    float, typer.Option("--pause", min=0.0, help="Seconds between two runs, not timed.")
]
MemoryLimitOption = Annotated[
    int,
    typer.Option(
        "--memory-limit",
        min=0,
        metavar="MIB",
        help="Memory limit of the worker in MiB; 0 means no limit.",
    ),
]
WatchdogOption = Annotated[
    float,
    typer.Option(
        "--watchdog",
        min=0.1,
        metavar="SECONDS",
        help="The longest time that a load or a single run may take.",
    ),
]
PrepareLimitOption = Annotated[
    float,
    typer.Option(
        "--prepare-limit",
        min=0.1,
        max=86400,
        metavar="SECONDS",
        help="Longest preparation, for a runtime that makes a file of the model on the board.",
    ),
]
RebuildOption = Annotated[
    bool,
    typer.Option(
        "--rebuild",
        help="Make again what a runtime made of the model on the board before, once in this run.",
    ),
]


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
