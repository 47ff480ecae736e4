"""A build of this computer's target with a worker that only a maker's libraries or SDK bring.

Its agent is that of ``dist/``; the worker is the one that scripts/test-cpp compiles, which runs
with the libraries that stand in for the maker's (device_agent/tests/worker/stand_in).
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from deployx_edge.crossbuild.finished import BuiltFile, hash_file, read_build, write_build
from deployx_edge.operator_facts import all_operators
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.worker_facts import worker_facts

_COMPUTES = "onnxruntime"


def build_with(worker: Path, runtime: str, dist: Path) -> None:
    """Lay such a build into the folder of builds ``dist``, as one that another computer made."""
    target = host_target_id()
    own = read_build(dist_folder(target))
    folder = dist / target
    folder.mkdir(parents=True)
    # With what computes our own operators on this computer.
    taken = [file for file in own.files if file.role == "agent" or file.runtime == _COMPUTES]
    for file in taken:
        (folder / file.name).symlink_to(own.folder / file.name)
    # What a debugger wants of it is ten times what it takes to run.
    made = folder / worker.name
    subprocess.run(["objcopy", "--strip-debug", worker, made], check=True)
    having = [facts.name for facts in all_operators().values() if runtime in facts.runtimes]
    made_file = BuiltFile(
        name=worker.name,
        role="worker",
        runtime=runtime,
        sha256=hash_file(made),
        size_bytes=made.stat().st_size,
        machine=taken[0].machine,
        libc="",
        libstdcxx="",
        needed=(),
        options=tuple(option.name for option in worker_facts(runtime).options),
        operators=tuple(having),
    )
    write_build(replace(own, folder=folder, imported=True, files=(*taken, made_file)))
