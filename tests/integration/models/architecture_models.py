"""Builds a network of the matrix, with random weights under which its output is alive.

``build`` is a factory as ``convert`` takes it: any entry can be converted by hand with
``deployx-edge convert tests.integration.models.architecture_models:build
--factory-args '{"name": "resnet18_wd2"}' --input image:1x3x224x224``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deployx_edge.comparison import structured_inputs
from deployx_edge.model import parse_inputs
from deployx_edge.sources.onnx.file import SourceTensor
from tests.integration.models.architectures import Architecture, find_architecture

_SEED = 20261121
# Of norms and of layers in residual networks. With larger ones attention over normalized
# features is chaotic: rounding doubles from block to block, as it does in no trained network.
_SCALES = (0.4, 0.9)
# Of batch norms. Around 0 every activation behind one would cut off a half, and a hundred layers
# of that are chaotic too.
_SHIFTS = (0.0, 1.0)


def build(name: str) -> nn.Module:
    """The network of that name, in evaluation mode."""
    entry = find_architecture(name)
    torch.manual_seed(_SEED)
    model = _made(entry).eval()
    _draw_weights(model)
    _calibrate(model, list(_specs(entry)))
    return model


def _made(entry: Architecture) -> nn.Module:
    module, _, name = entry.source.partition(":")
    found = getattr(importlib.import_module(module), name)
    if entry.library == "transformers":
        made: nn.Module = found(found.config_class(**entry.arguments))
    else:
        made = found(**entry.arguments)
    return made


def _draw_weights(model: nn.Module) -> None:
    """The same for every library: signals keep their size, no scale or shift is 0 or 1.

    Libraries begin with zeros in places (biases, the last norm of a block, layer scales), so
    that a converter that dropped them would go unseen.
    """
    generator = torch.Generator().manual_seed(_SEED)
    shifts = {id(norm.bias) for norm in _batch_norms(model)}
    linear = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)}
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.dim() == 0 or not values.is_floating_point():
                continue
            if values.dim() > 1:
                # Positions and tokens, which are added as they are, have a leading 1.
                inputs = values[0].numel() if values.shape[0] > 1 else 8
                # Half of what a convolution gives is lost in the activation behind it.
                gain = 1.0 if id(values) in linear else 2.0
                values.normal_(0.0, math.sqrt(gain / inputs), generator=generator)
            elif id(values) in shifts:
                values.uniform_(*_SHIFTS, generator=generator)
            elif "bias" in name:
                values.normal_(0.0, 0.1, generator=generator)
            else:
                values.uniform_(*_SCALES, generator=generator)


def _calibrate(model: nn.Module, specs: Sequence[SourceTensor]) -> None:
    """Let batch norms count what really comes, so that no layer saturates or fades out."""
    norms = _batch_norms(model)
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that is seen
        norm.train()
    sets = structured_inputs(specs)
    with torch.no_grad():
        model(*(torch.from_numpy(np.concatenate([s[spec.name] for s in sets])) for spec in specs))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _specs(entry: Architecture) -> Iterator[SourceTensor]:
    for name, request in parse_inputs(entry.inputs).items():
        yield SourceTensor(name=name, shape=request.shape)
