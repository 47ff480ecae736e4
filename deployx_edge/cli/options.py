"""Options that several commands share, under one name and one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.measurement.choices import ACCELERATORS, CORES, PRECISIONS
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES


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
