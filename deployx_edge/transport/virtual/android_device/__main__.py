"""``python -m deployx_edge.transport.virtual.android_device --root DIR``: one virtual device.

Prints ``listening PORT`` and lives until its standard input ends.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from deployx_edge.transport.virtual.android_device.device import Device


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="android_device", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder that is its /")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--unauthorized", action="store_true", help="never accept the adb server's key"
    )
    parser.add_argument(
        "--megabytes-per-second", type=float, default=math.inf, help="the pace of a cable to it"
    )
    arguments = parser.parse_args()
    device = Device(
        arguments.root,
        arguments.port,
        authorizes=not arguments.unauthorized,
        bytes_per_second=arguments.megabytes_per_second * 1e6,
    )
    print(f"listening {device.port}", flush=True)
    device.start()
    try:
        while sys.stdin.buffer.read(1 << 10):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        device.close()


if __name__ == "__main__":
    main()
