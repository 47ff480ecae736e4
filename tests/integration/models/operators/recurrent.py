"""Recurrent layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.integration.models.operators.case import (
    Case,
    floats,
    ints,
    several,
    single,
)

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent() -> Iterator[Case]:
    steps, size, hidden = 6, 5, 4
    for operator, direction in itertools.product(GATES, ("forward", "reverse", "bidirectional")):
        count = 2 if direction == "bidirectional" else 1
        gates = GATES[operator]
        weight, recurrence = (
            floats(count, gates * hidden, size),
            floats(count, gates * hidden, hidden),
        )
        bias = floats(count, 2 * gates * hidden)
        options: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
        if operator == "GRU":
            options["linear_before_reset"] = 1
        outputs = ["y", "h", "c"][: 3 if operator == "LSTM" else 2]
        constants = {"w": 0.4 * weight, "r": 0.4 * recurrence, "b": 0.4 * bias}
        states = ["h0", "c0"][: len(outputs) - 1]
        for form, ins, outs, wanted in (
            ("all", ["x", "w", "r", "b"], outputs, outputs),
            ("sequence", ["x", "w", "r", "b"], ["y"], ["y"]),
            ("last", ["x", "w", "r", "b"], ["", "h"], ["h"]),
            ("no-bias", ["x", "w", "r"], ["y"], ["y"]),
            ("states", ["x", "w", "r", "b", "", *states], outputs, outputs),
            ("state", ["x", "w", "r", "b", "", "h0"], ["y"], ["y"]),
            ("computed", ["x", "w", "r", "b", "", *states], outputs, ["y"]),
        ):
            initial = {name: floats(count, 1, hidden, seed=3) for name in states if name in ins}
            inputs = {"x": (steps, 1, size)}
            if form == "computed":
                inputs |= dict.fromkeys(states, (count, 1, hidden))
                initial = {}
            yield several(
                f"recurrent/{operator}-{direction}-{form}",
                [(operator, ins, outs, options)],
                inputs,
                wanted,
                {**{n: v for n, v in constants.items() if n in ins}, **initial},
                opset=14,
            )
        yield several(
            f"recurrent/{operator}-{direction}-squeezed",
            [
                ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}),
                (operator, ["t", "w", "r", "b"], ["y"], options),
                ("Transpose", ["y"], ["z"], {"perm": [2, 0, 1, 3]}),
                ("Reshape", ["z", "shape"], ["out"], {}),
            ],
            {"x": (1, steps, size)},
            ["out"],
            {**constants, "shape": ints(0, 0, -1)},
            opset=14,
        )
    x, w, r = (steps, 1, size), floats(1, 12, size), floats(1, 12, hidden)
    yield single("recurrent/GRU-reset-first", "GRU", x, w, r, hidden_size=hidden)
    yield single(
        "recurrent/batch",
        "LSTM",
        (steps, 2, size),
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
    )
    yield single(
        "recurrent/activations",
        "RNN",
        x,
        w[:, :4],
        r[:, :4],
        hidden_size=hidden,
        activations=["Relu"],
    )
    yield single(
        "recurrent/activation-named",
        "RNN",
        x,
        w[:, :4],
        r[:, :4],
        hidden_size=hidden,
        activations=["Tanh"],
    )
    yield single(
        "recurrent/clip",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
        clip=0.5,
    )
    yield single(
        "recurrent/layout",
        "LSTM",
        (1, steps, size),
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
        layout=1,
    )
    yield single(
        "recurrent/peepholes",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        None,
        None,
        None,
        floats(1, 12),
        hidden_size=hidden,
    )
    lengths = np.asarray([steps], dtype=np.int32)
    yield single(
        "recurrent/lengths",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        lengths,
        hidden_size=hidden,
    )
    yield single(
        "recurrent/shorter",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        lengths - 2,
        hidden_size=hidden,
    )
    yield single(
        "recurrent/large",
        "LSTM",
        (3, 1, 32),
        0.2 * floats(1, 64, 32),
        0.2 * floats(1, 64, 16),
        hidden_size=16,
    )
