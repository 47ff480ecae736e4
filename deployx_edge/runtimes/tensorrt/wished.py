"""What bundles for TensorRT need on this computer: its parser is wished for, and can be missing."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.distributions import installed_version
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress
from deployx_edge.runtimes.setup import Need, PackageSetup
from deployx_edge.runtimes.tensorrt.parser import PACKAGE

_WITHOUT = "not installed; operators are looked up in a table"


class TensorrtSetup(PackageSetup):
    """``Setup`` for TensorRT."""

    def needs(self) -> Sequence[Need]:
        """See ``Setup``."""
        version = installed_version(PACKAGE)
        # Nothing is refused without it.
        parser = Need(
            name=PACKAGE,
            present=True,
            found=version or _WITHOUT,
            remedy="" if version else self.command,
        )
        return (*super().needs(), parser)

    def install(self, progress: Progress) -> str:
        """See ``Setup``."""
        version = installed_version(PACKAGE)
        if version:
            return f"TensorRT's parser is there: {PACKAGE} {version} lies beside deployx-edge."
        raise UsageError(
            f"TensorRT's parser is the Python package {PACKAGE} in the environment of deployx-edge "
            "itself, which only its own pip changes.",
            remedy=f"Run: {self.command}",
        )
