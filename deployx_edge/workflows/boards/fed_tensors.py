"""Inputs of a bundle as a board takes them, and which outputs are fed back to them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deployx_edge.agent.client import InputTensor
from deployx_edge.agent.messages import FedTensor
from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import to_board_arrays
from deployx_edge.feed_back import FeedBack

if TYPE_CHECKING:
    import numpy


def board_tensors(bundle: Bundle, arrays: Mapping[str, numpy.ndarray]) -> list[InputTensor]:
    """Those inputs of the bundle that ``arrays`` holds; all of them but for a later step."""
    given = tuple(spec for spec in bundle.inputs if spec.name in arrays)
    return [
        InputTensor(runtime_name=name, array=array, batched=batched)
        for name, (array, batched) in to_board_arrays(replace(bundle, inputs=given), arrays).items()
    ]


def fed_tensors(bundle: Bundle, feeds: Sequence[FeedBack]) -> tuple[FedTensor, ...]:
    """The same by the runtime's names. REQUIRES: ``check_feed_back`` of the bundle's tensors."""
    inputs = {spec.name: spec for spec in bundle.inputs}
    outputs = {spec.name: spec for spec in bundle.outputs}
    return tuple(
        FedTensor(
            output=outputs[feed.output].runtime_name,
            input=inputs[feed.input].runtime_name,
            grows=bool(inputs[feed.input].ranges),
        )
        for feed in feeds
    )
