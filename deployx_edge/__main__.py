"""The way in: errors become one line and an exit code, nothing else happens here."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from deployx_edge.cli.ending import ending_well
from deployx_edge.cli.phases import mark, phase_lines
from deployx_edge.errors import DeployxError
from deployx_edge.resources import cache_error
from deployx_edge.scratch import own_temporary_folder, remove_left_behind
from deployx_edge.visible import show_visibly

_DEBUG = "--debug"
_INTERRUPTED = 130
# Python looks for circles of dead objects after so many new ones; after 700, its own number, it
# does so all the time while modules and models load, which leave none.
_OBJECTS = 50_000


def main() -> None:
    """Run the command line. ``--debug`` may stand anywhere and shows tracebacks and phases."""
    _open_standard_streams()
    # Of numpy's products, which are small here: threads that wait for the next one by turning round
    # took half of all the processor time of a conversion.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # PyTorch's threads likewise turn round between two operators.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.set_threshold(_OBJECTS)
    debug = _DEBUG in sys.argv[1:]
    words = [word for word in sys.argv[1:] if word != _DEBUG]
    mark("Reading the command line")
    with ending_well():
        show_visibly()
        try:
            remove_left_behind()
            with own_temporary_folder():
                _run(words)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        except Exception as error:
            if debug:
                raise
            _tell(error)
        finally:
            if debug:
                print(*phase_lines(), sep="\n", file=sys.stderr)
            # Else Python looks at all that was loaded once more for circles before it ends: a sixth
            # of what a short command takes.
            gc.freeze()


def _run(words: list[str]) -> None:
    from deployx_edge.cli.app import app

    app(args=words, prog_name="deployx-edge")


def _tell(error: Exception) -> NoReturn:
    known = _known(error)
    if known is not None:
        print(f"error: {known}", file=sys.stderr)
        sys.exit(known.exit_code)
    print(
        f"error: internal: {type(error).__name__}: {error} "
        "This is a defect of deployx-edge; run again with --debug and report what it prints.",
        file=sys.stderr,
    )
    sys.exit(70)


def _known(error: Exception) -> DeployxError | None:
    """What is not a defect of ours: errors of this package, and what the system refuses."""
    if isinstance(error, DeployxError):
        return error
    if isinstance(error, MemoryError):
        return DeployxError("This computer has too little memory for that.")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    known = cache_error(error)
    if known is not None:
        return known
    where = f"'{error.filename}': " if error.filename is not None else ""
    return DeployxError(f"This computer refused it: {where}{error.strerror}.")


def _open_standard_streams() -> None:
    """A standard stream that was closed leads nowhere: the next file would take its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


if __name__ == "__main__":
    main()
