"""Qualcomm's SoCs, as far as its library for the HTP told their names, numbers and abilities."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from deployx_edge.errors import UsageError

# What is computed here where nobody names one: of those with half floats the most common.
DEFAULT_SOC = "sm8550"


@dataclass(frozen=True, kw_only=True)
class Soc:
    """One SoC: its ``number`` for Qualcomm's libraries, the ``architecture`` of its HTP ("V73" is
    73), and whether that computes ``floats``, which are half floats then."""

    name: str
    number: int
    architecture: int
    floats: bool


_ROWS = (
    Soc(name="sm8350", number=30, architecture=68, floats=False),
    Soc(name="sm7325", number=35, architecture=68, floats=False),
    Soc(name="sc8280x", number=37, architecture=68, floats=False),
    Soc(name="qcs6490", number=93, architecture=68, floats=False),
    Soc(name="sa8295", number=39, architecture=68, floats=True),
    Soc(name="sm8450", number=36, architecture=69, floats=True),
    Soc(name="sm8475", number=42, architecture=69, floats=True),
    Soc(name="sm7450", number=41, architecture=69, floats=True),
    Soc(name="sxr2230p", number=53, architecture=69, floats=True),
    Soc(name="sm7475", number=54, architecture=69, floats=False),
    Soc(name="sm8550", number=43, architecture=73, floats=True),
    Soc(name="qcs8550", number=66, architecture=73, floats=True),
    Soc(name="sc8380xp", number=60, architecture=73, floats=True),
    Soc(name="sm7550", number=64, architecture=73, floats=False),
    Soc(name="sm7675", number=70, architecture=73, floats=False),
    Soc(name="sm8635", number=68, architecture=73, floats=False),
    Soc(name="sm8650", number=57, architecture=75, floats=True),
    Soc(name="qcs8300", number=82, architecture=75, floats=True),
    Soc(name="sm8750", number=69, architecture=79, floats=True),
    Soc(name="sxr2330p", number=75, architecture=79, floats=True),
    Soc(name="sm8850", number=87, architecture=81, floats=True),
    Soc(name="sc8480xp", number=88, architecture=81, floats=True),
)
SOCS = {row.name: row for row in _ROWS}


def find_soc(name: str) -> Soc:
    """The SoC of that name; UsageError with the nearest where there is none."""
    if name in SOCS:
        return SOCS[name]
    near = difflib.get_close_matches(name, SOCS)
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"There is no SoC '{name}'.{question}", remedy=f"Known: {', '.join(SOCS)}.")
