"""All commands under one name. Each command's own file imports what it needs when it runs.

Options are read of the one command that is called: to read those of all thirty takes as long as
all the rest of a short command. The others stand beside it by their help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import getdoc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from deployx_edge import __version__
from deployx_edge.cli import devices as devices_commands
from deployx_edge.cli import op as op_commands
from deployx_edge.cli import runtimes as runtimes_commands
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

_Function = Callable[..., None]

COMMANDS: Mapping[str, _Function] = {
    "targets": targets,
    "doctor": doctor,
    "build": build,
    "inspect": inspect,
    "extract": extract,
    "convert": convert,
    "quantize": quantize,
    "compare": compare,
    "push": push,
    "run": run,
    "bench": bench,
    "profile": profile,
    "evaluate": evaluate,
    "clean": clean,
    "push-and-bench": push_and_bench,
}
DEVICES: Mapping[str, _Function] = {
    "list": devices_commands.list_devices,
    "add": devices_commands.add,
    "remove": devices_commands.remove,
    "describe": devices_commands.describe,
    "doctor": devices_commands.doctor,
    "release": devices_commands.release,
    "clean": devices_commands.clean,
}
RUNTIMES: Mapping[str, _Function] = {
    "list": runtimes_commands.list_runtimes,
    "doctor": runtimes_commands.doctor,
    "install": runtimes_commands.install,
}
SOURCES: Mapping[str, _Function] = {
    "list": sources_commands.list_sources,
    "fetch": sources_commands.fetch,
    "add": sources_commands.add,
}
OPERATORS: Mapping[str, _Function] = {
    "list": op_commands.list_operators,
    "new": op_commands.new,
    "test": op_commands.test,
    "doctor": op_commands.doctor,
}
SYSROOT: Mapping[str, _Function] = {"pull": sysroot_commands.pull}
# Its name before there was a choice of runtimes.
_HIDDEN: Mapping[str, _Function] = {"bundle": convert}


def _typer(help: str, functions: Mapping[str, _Function]) -> typer.Typer:
    """A group of commands that are read when they are called."""

    class Group(TyperGroup):
        def __init__(self, *, commands: dict[str, Any], **words: Any) -> None:
            unread = {
                name: TyperCommand(
                    name, help=getdoc(function), hidden=name in _HIDDEN, rich_markup_mode=None
                )
                for name, function in functions.items()
            }
            super().__init__(commands={**unread, **commands}, **words)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """The command that the first word names, whole."""
            name, command, words = super().resolve_command(ctx, args)
            if name is not None and name in functions:
                command = _read(name, functions[name])
                if "--help" in args:
                    _add_runtime_options(command)
            return name, command, words

    return typer.Typer(
        help=help,
        cls=Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _read(name: str, function: _Function) -> Any:
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name)(function)
    return typer.main.get_command(alone)


def _add_runtime_options(command: Any) -> None:
    """The help of --option names what each runtime has."""
    from deployx_edge.worker_facts import options_text

    for parameter in command.params:
        if "--option" in parameter.opts:
            parameter.help = f"{parameter.help} {options_text()}"


app = _typer(
    "A model goes in, trustworthy numbers from your own board come out, in one command.",
    {**COMMANDS, **_HIDDEN},
)
app.add_typer(_typer("The boards that are known, and what they are.", DEVICES), name="devices")
app.add_typer(
    _typer("What models run in: what is there of it, and what was seen to work.", RUNTIMES),
    name="runtimes",
)
app.add_typer(_typer("The source archives that builds need.", SOURCES), name="sources")
app.add_typer(_typer("Operators that runtimes lack and we have.", OPERATORS), name="op")
app.add_typer(_typer("What linking for a board needs of it.", SYSROOT), name="sysroot")


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
