"""What is done to find scales, pass by pass. Imported in the process with PPQ only."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from esp_ppq.core import TargetPlatform
from esp_ppq.executor import TorchExecutor
from esp_ppq.IR import QuantableOperation
from esp_ppq.quantization.algorithm.training import TrainableBlock
from esp_ppq.quantization.optim import (
    BiasCorrectionPass,
    LearnedStepSizePass,
    RuntimeCalibrationPass,
)
from esp_ppq.quantization.optim.training import RoundTuningPass, TrainingBasedPass

from deployx_edge.quantization.ppq_telling import Teller

# Passes that go block by block run the model twice for each, and hold what goes in and out of it.
_BLOCKWISE = 32  # samples
_BLOCK = 4
_LEARNING_RATE = 1e-5
_TWO_PASSES = ("kl", "mse")  # the range first, then a histogram over it


# glibc keeps what large tensors leave behind when small ones, of observers, lie between: without
# this a run of each sample adds up, though nothing is held. Elsewhere there is no such call.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)


class Samples:
    """The calibration data, read from disk each time round: memory does not grow with it."""

    def __init__(self, folder: Path, count: int, names: list[str]) -> None:
        self._folder, self._count, self._names = folder, count, names

    def first(self, count: int) -> Samples:
        """The first so many."""
        return Samples(self._folder, min(count, self._count), self._names)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for index in range(self._count):
            _TRIM(0)
            with np.load(self._folder / f"sample_{index}.npz") as file:
                yield {
                    name: torch.from_numpy(file[f"input_{i}"]) for i, name in enumerate(self._names)
                }


class CountingExecutor(TorchExecutor):  # type: ignore[misc]  # it has no types
    """PPQ's executor, which tells of each call."""

    def __init__(self, graph: Any, teller: Teller) -> None:
        self.teller = teller
        super().__init__(graph=graph, device="cpu")

    def forward(self, *given: Any, **named: Any) -> Any:
        """The whole model, without gradients."""
        self.teller.advance()
        return super().forward(*given, **named)

    def partial_graph_forward(self, *given: Any, **named: Any) -> Any:
        """Some operations, with gradients."""
        self.teller.advance()
        return super().partial_graph_forward(*given, **named)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every pass is given.

    ``foreign`` are the nodes that PPQ does not compute itself.
    """

    graph: Any
    executor: CountingExecutor
    samples: Samples
    settings: dict[str, Any]
    foreign: Collection[str]

    @property
    def teller(self) -> Teller:
        """Where it is told how far the passes are."""
        return self.executor.teller

    def run(self, each: Any, samples: Samples | None = None) -> None:
        """One of PPQ's passes."""
        chosen = samples or self.samples
        each.optimize(
            graph=self.graph,
            dataloader=chosen,
            executor=self.executor,
            calib_steps=len(chosen),
            collate_fn=None,
        )

    def calibrate(self) -> None:
        """The scales of activations."""
        algorithm = self.settings["algorithm"]
        rounds = 2 if algorithm in _TWO_PASSES else 1
        self.teller.phase("Activations", rounds * len(self.samples))
        self.run(RuntimeCalibrationPass(method=algorithm))

    def tune(self) -> bool:
        """Train weights or their rounding as the settings say; whether that was asked for."""
        steps = self.settings["tuning_steps"]
        passes = {
            "lsq": ("Tuning weights and steps", _StepSizes),
            "adaround": ("Tuning the rounding", _Roundings),
        }
        if self.settings["tuning"] not in passes:
            return False
        text, kind = passes[self.settings["tuning"]]
        self._blockwise(text, kind(self, steps=steps))
        return True

    def correct_bias(self) -> None:
        """Take the mean error off the biases, where the settings say so."""
        if self.settings["correct_bias"]:
            self._blockwise("Biases", _Biases(self))

    def _blockwise(self, text: str, each: Any) -> None:
        self.teller.phase(text)
        self.run(each, self.samples.first(_BLOCKWISE))


class _Blockwise(TrainingBasedPass):  # type: ignore[misc]
    """Blocks of nodes that PPQ computes itself, as gradients pass through no other."""

    job: Job
    partial_calls: int  # calls of a block, beside the two of the whole model for each sample

    def split_graph_into_blocks(self, *given: Any, **named: Any) -> list[TrainableBlock]:
        blocks: list[TrainableBlock] = []
        for block in super().split_graph_into_blocks(*given, **named):
            if any(operation.name in self.job.foreign for operation in block.rps):
                blocks.extend(
                    TrainableBlock(sp=operation, ep=operation, rps=[operation])
                    for operation in block.rps
                    if isinstance(operation, QuantableOperation)
                    and operation.is_computing_op
                    and operation.name not in self.job.foreign
                )
            else:
                blocks.append(block)
        self._begun = 0
        self._calls = 2 * len(self.job.samples.first(_BLOCKWISE)) + self.partial_calls
        self.job.teller.expect(len(blocks) * self._calls)
        return blocks

    def collect(self, *given: Any, **named: Any) -> Any:
        self.job.teller.reach(self._begun * self._calls)
        self._begun += 1
        return super().collect(*given, **named)


class _StepSizes(_Blockwise, LearnedStepSizePass):  # type: ignore[misc]
    def __init__(self, job: Job, *, steps: int) -> None:
        LearnedStepSizePass.__init__(
            self, steps=steps, lr=_LEARNING_RATE, block_size=_BLOCK, collecting_device="cpu"
        )
        self.job = job
        self.partial_calls = 2 * len(job.samples.first(_BLOCKWISE)) + steps


class _Roundings(_Blockwise, RoundTuningPass):  # type: ignore[misc]
    def __init__(self, job: Job, *, steps: int) -> None:
        RoundTuningPass.__init__(self, steps=steps, block_size=_BLOCK, collecting_device="cpu")
        self.job = job
        self.partial_calls = 2 * len(job.samples.first(_BLOCKWISE)) + steps


class _Biases(_Blockwise, BiasCorrectionPass):  # type: ignore[misc]
    def __init__(self, job: Job) -> None:
        BiasCorrectionPass.__init__(self, collecting_device="cpu", block_size=_BLOCK)
        self.job = job
        self.partial_calls = 4 * len(job.samples.first(_BLOCKWISE))


def in_float(graph: Any) -> None:
    """Have every operation of a graph computed in floats."""
    for operation in graph.operations.values():
        operation.platform = TargetPlatform.FP32
