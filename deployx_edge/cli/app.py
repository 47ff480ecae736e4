"""All commands under one name. Each command's own file imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from deployx_edge import __version__
from deployx_edge.cli import devices as devices_commands
from deployx_edge.cli import sources as sources_commands
from deployx_edge.cli import sysroot as sysroot_commands
from deployx_edge.cli.bench import bench
from deployx_edge.cli.build import build
from deployx_edge.cli.clean import clean
from deployx_edge.cli.compare import compare
from deployx_edge.cli.convert import convert
from deployx_edge.cli.doctor import doctor
from deployx_edge.cli.evaluate import evaluate
from deployx_edge.cli.extract import extract
from deployx_edge.cli.inspect import inspect
from deployx_edge.cli.profile import profile
from deployx_edge.cli.push import push
from deployx_edge.cli.push_and_bench import push_and_bench
from deployx_edge.cli.quantize import quantize
from deployx_edge.cli.run import run
from deployx_edge.cli.targets import targets

app = typer.Typer(
    help="A model goes in, trustworthy numbers from your own board come out, in one command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deployx-edge {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show tracebacks and the phases in seconds; may stand after a command too.",
        ),
    ] = False,
) -> None:
    """``--debug`` is taken from the words before they get here, see ``__main__``."""


_COMMANDS: tuple[Callable[..., None], ...] = (
    *(targets, doctor, build, inspect, extract, convert, quantize, compare),
    *(push, run, bench, profile, evaluate, clean),
)
for command in _COMMANDS:
    app.command()(command)
app.command("push-and-bench")(push_and_bench)
app.command("bundle", hidden=True)(convert)  # its name before there was a choice of runtimes

_devices = typer.Typer(help="The boards that are known, and what they are.", no_args_is_help=True)
_devices.command("list")(devices_commands.list_devices)
for command in (
    devices_commands.add,
    devices_commands.remove,
    devices_commands.describe,
    devices_commands.doctor,
    devices_commands.release,
    devices_commands.clean,
):
    _devices.command()(command)
app.add_typer(_devices, name="devices")

_sources = typer.Typer(help="The source archives that builds need.", no_args_is_help=True)
_sources.command("list")(sources_commands.list_sources)
_sources.command("fetch")(sources_commands.fetch)
_sources.command("add")(sources_commands.add)
app.add_typer(_sources, name="sources")

_sysroot = typer.Typer(help="What linking for a board needs of it.", no_args_is_help=True)
_sysroot.command("pull")(sysroot_commands.pull)
app.add_typer(_sysroot, name="sysroot")
