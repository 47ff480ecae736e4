"""deployx-edge: a model goes in, trustworthy numbers from your own board come out.

The one door for scripts: what ``__all__`` names is imported when it is first asked for.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle, load_bundle
    from deployx_edge.config import find_device
    from deployx_edge.crossbuild.options import BuildOptions
    from deployx_edge.device import Device
    from deployx_edge.errors import DeployxError
    from deployx_edge.measurement.fallback import precision_that_ran
    from deployx_edge.measurement.statistics import summarise
    from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
    from deployx_edge.model import PostProcessing, PreProcessing
    from deployx_edge.target import find_target
    from deployx_edge.workflows.boards.board_doctor import examine_board
    from deployx_edge.workflows.boards.session import Session, open_session, push_to_device
    from deployx_edge.workflows.boards.several import run_on_devices
    from deployx_edge.workflows.build.build import build_target
    from deployx_edge.workflows.convert.bundle import make_bundle as convert
    from deployx_edge.workflows.convert.inspect import inspect_model
    from deployx_edge.workflows.convert.models import TorchOptions
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.evaluate.case import EvaluationOptions
    from deployx_edge.workflows.evaluate.evaluate import evaluate
    from deployx_edge.workflows.measure.bench import (
        BenchJob,
        Candidate,
        bench,
        bench_device,
        compare_results,
        profile,
    )
    from deployx_edge.workflows.measure.compare import compare
    from deployx_edge.workflows.measure.run import run
    from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
    from deployx_edge.workflows.quantize.sensitivity import AccuracyGoal, quantize_by_sensitivity

__version__ = "0.1.0"

# ONNX Runtime would write an identifier of this computer below the user's cache folder and send
# figures to its maker. It reads this when it is loaded, in the programs that we start too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Module and name there of what scripts use, in the order of a model's way to its numbers.
_PLACES = {
    "convert": "workflows.convert.bundle:make_bundle",
    "BundleOptions": "workflows.convert.options:BundleOptions",
    "TorchOptions": "workflows.convert.models:TorchOptions",
    "PreProcessing": "model:PreProcessing",
    "PostProcessing": "model:PostProcessing",
    "Bundle": "bundle:Bundle",
    "load_bundle": "bundle:load_bundle",
    "inspect_model": "workflows.convert.inspect:inspect_model",
    "quantize": "workflows.quantize.quantize:quantize",
    "QuantizeOptions": "workflows.quantize.quantize:QuantizeOptions",
    "quantize_by_sensitivity": "workflows.quantize.sensitivity:quantize_by_sensitivity",
    "AccuracyGoal": "workflows.quantize.sensitivity:AccuracyGoal",
    "build_target": "workflows.build.build:build_target",
    "BuildOptions": "crossbuild.options:BuildOptions",
    "find_target": "target:find_target",
    "find_device": "config:find_device",
    "Device": "device:Device",
    "open_session": "workflows.boards.session:open_session",
    "Session": "workflows.boards.session:Session",
    "push_to_device": "workflows.boards.session:push_to_device",
    "run_on_devices": "workflows.boards.several:run_on_devices",
    "examine_board": "workflows.boards.board_doctor:examine_board",
    "bench": "workflows.measure.bench:bench",
    "bench_device": "workflows.measure.bench:bench_device",
    "BenchJob": "workflows.measure.bench:BenchJob",
    "Candidate": "workflows.measure.bench:Candidate",
    "BenchPlan": "measurement.values:BenchPlan",
    "RunOptions": "measurement.values:RunOptions",
    "WorkerLimits": "measurement.values:WorkerLimits",
    "compare_results": "workflows.measure.bench:compare_results",
    "precision_that_ran": "measurement.fallback:precision_that_ran",
    "summarise": "measurement.statistics:summarise",
    "profile": "workflows.measure.bench:profile",
    "run": "workflows.measure.run:run",
    "compare": "workflows.measure.compare:compare",
    "evaluate": "workflows.evaluate.evaluate:evaluate",
    "EvaluationOptions": "workflows.evaluate.case:EvaluationOptions",
    "DeployxError": "errors:DeployxError",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    """What the table names, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _PLACES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), there)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
