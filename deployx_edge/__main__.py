"""The way in: errors become one line and an exit code, nothing else happens here."""

from __future__ import annotations

import os
import sys

from deployx_edge.cli.phases import mark, phase_lines
from deployx_edge.errors import DeployxError
from deployx_edge.resources import cache_error

_DEBUG = "--debug"


def main() -> None:
    """Run the command line. ``--debug`` may stand anywhere and shows tracebacks and phases."""
    debug = _DEBUG in sys.argv[1:]
    words = [word for word in sys.argv[1:] if word != _DEBUG]
    mark("Reading the command line")
    from deployx_edge.cli.app import app

    try:
        app(args=words, prog_name="deployx-edge")
    except DeployxError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        known = cache_error(error) if isinstance(error, OSError) else None
        if known is not None:
            print(f"error: {known}", file=sys.stderr)
            sys.exit(known.exit_code)
        print(
            f"error: internal: {type(error).__name__}: {error} "
            "This is a defect of deployx-edge; run again with --debug and report what it prints.",
            file=sys.stderr,
        )
        sys.exit(70)
    finally:
        if debug:
            print(*phase_lines(), sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
