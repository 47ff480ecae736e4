"""What bundles for TensorRT need on this computer: its parser is wished for, and can be missing."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.progress import Progress
from deployx_edge.runtimes.setup import Need, PackageSetup
from deployx_edge.runtimes.tensorrt import parser_place as place

_WITHOUT = "not installed; operators are looked up in a table"


class TensorrtSetup(PackageSetup):
    """``Setup`` for TensorRT."""

    def needs(self) -> Sequence[Need]:
        """See ``Setup``."""
        there = place.is_installed()
        # Nothing is refused without it.
        parser = Need(
            name=place.PACKAGE,
            present=True,
            found=place.version() if there else _WITHOUT,
            remedy="" if there else place.INSTALL,
        )
        return (*super().needs(), parser)

    def install(self, progress: Progress) -> str:
        """See ``Setup``."""
        if place.is_beside():
            where = "lies beside deployx-edge"
        else:
            place.ENVIRONMENT.make(progress)
            where = f"is there, in an environment of its own: {place.ENVIRONMENT.folder}"
        return f"TensorRT-RTX's parser, {place.PACKAGE} {place.version()}, {where}."
