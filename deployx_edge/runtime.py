"""The inference runtimes: one row each, with what is known of it before any of its code loads.

All else of a runtime lies in the folder of its name (``runtimes/<name>/``), and its worker in
``device_agent/workers/<name>/``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import UsageError

# The role of a file that is a model in ONNX.
ONNX_ROLE = "onnx"
# In an ONNX file's metadata: the chip that it is for, or what is beside it.
SOC_KEY = "deployx.soc"


@dataclass(frozen=True, kw_only=True)
class RuntimeFacts:
    """What everybody may know of a runtime.

    ``title`` is how people write it. ``files`` are the roles of the files that a bundle for it
    has, ``extra_files`` those that it may have, ``here_files`` those of them that only this
    computer has a use for, so that no board gets them; ``own_suffix`` ends the name of its own
    model files ("" where it reads ONNX).
    ``dtypes`` are the element types of inputs and outputs that it takes; none means all.
    ``fixed_shapes``: no axis stays open. ``half_floats``: floats are computed in half floats, also
    those of an fp32 file. ``no_fp32``: who asks for nothing else gets half floats, which is no
    other precision than was asked for. ``single_samples``: on a board its tensors are float32
    and without the axis that counts samples. ``words``: tensors are named by words, each name once
    among inputs and outputs. ``package`` is the distribution that runs it on this computer, beside
    ours, "" where it lies in an environment of its own; ``extra`` the extra of ours that installs
    it ("" where ours itself does). ``socs`` are the chips that its files are made for, the usual
    one first; none where they are for all. ``one_soc``: each file is for one chip, the usual one
    where nobody names another; ``like_socs`` are those chips that take each other's files.
    ``simulated``: here it simulates the processor that boards have, so that times say nothing.
    ``runs_here`` is False where only boards run it: what its file says is then computed by
    ``package`` here, to hold it against the source. ``checker`` is a distribution that can say
    here whether the runtime takes a model ("": what runs it says so). ``leaves_nodes``: of one
    model it can compute a part and leave nodes to the processor, where a conversion allows that.
    ``whole_on_boards``: a board gives a model's outputs and no tensor inside.
    """

    name: str
    title: str
    files: tuple[str, ...]
    extra_files: tuple[str, ...] = ()
    here_files: tuple[str, ...] = ()
    own_suffix: str = ""
    dtypes: tuple[str, ...] = ()
    fixed_shapes: bool = False
    half_floats: bool = False
    no_fp32: bool = False
    single_samples: bool = False
    words: bool = False
    package: str = ""
    extra: str = ""
    socs: tuple[str, ...] = ()
    one_soc: bool = False
    like_socs: tuple[tuple[str, ...], ...] = ()
    simulated: bool = False
    runs_here: bool = True
    checker: str = ""
    leaves_nodes: bool = False
    whole_on_boards: bool = False

    @property
    def reads_onnx(self) -> bool:
        """Whether its file is a model in ONNX."""
        return self.files == (ONNX_ROLE,)

    def soc_meant(self, asked: str) -> str:
        """The chip that files are for, "" for all; ``asked`` is "" where nobody named one."""
        return asked or (self.socs[0] if self.one_soc else "")

    def takes_files_of(self, soc: str, other: str) -> bool:
        """Whether the one chip takes files that are for the other."""
        return soc == other or any({soc, other} <= set(group) for group in self.like_socs)


_ROWS = (
    RuntimeFacts(
        name="ncnn",
        title="ncnn",
        files=("param", "bin"),
        extra_files=("table",),
        own_suffix=".param",
        dtypes=("float32",),
        fixed_shapes=True,
        single_samples=True,
        words=True,
        package="ncnn",
    ),
    RuntimeFacts(
        name="onnxruntime",
        title="ONNX Runtime",
        files=(ONNX_ROLE,),
        package="onnxruntime",
    ),
    RuntimeFacts(
        name="openvino",
        title="OpenVINO",
        files=(ONNX_ROLE,),
        package="openvino",
        extra="openvino",
    ),
    RuntimeFacts(
        name="qnn",
        title="QNN",
        files=(ONNX_ROLE,),
        extra_files=("context",),
        dtypes=("float32", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"),
        fixed_shapes=True,
        half_floats=True,
        package="onnxruntime-qnn",
        extra="qnn",
        socs=(
            "sm8550",
            "sm8350",
            "sm7325",
            "sc8280x",
            "qcs6490",
            "sa8295",
            "sm8450",
            "sm8475",
            "sm7450",
            "sxr2230p",
            "sm7475",
            "qcs8550",
            "sc8380xp",
            "sm7550",
            "sm7675",
            "sm8635",
            "sm8650",
            "qcs8300",
            "sm8750",
            "sxr2330p",
            "sm8850",
            "sc8480xp",
        ),
        simulated=True,
        leaves_nodes=True,
    ),
    RuntimeFacts(
        name="rknn",
        title="RKNN",
        files=("rknn", ONNX_ROLE),
        extra_files=("ranges",),
        here_files=(ONNX_ROLE, "ranges"),
        dtypes=("float32",),
        fixed_shapes=True,
        no_fp32=True,
        socs=("rk3588", "rk3588s", "rk3576", "rk3566", "rk3568", "rk3562", "rv1126b", "rv1106"),
        one_soc=True,
        like_socs=(("rk3588", "rk3588s"), ("rk3566", "rk3568")),
        whole_on_boards=True,
        simulated=True,
    ),
    RuntimeFacts(
        name="snpe",
        title="SNPE",
        files=("dlc",),
        own_suffix=".dlc",
        dtypes=("float32",),
        fixed_shapes=True,
        simulated=True,
    ),
    RuntimeFacts(
        name="tensorrt",
        title="TensorRT",
        files=(ONNX_ROLE,),
        extra_files=("float", "ranges"),
        package="onnxruntime",
        extra="tensorrt",
        runs_here=False,
        checker="tensorrt-rtx-cu12-bindings",
    ),
)
RUNTIMES = {row.name: row for row in _ROWS}
# Where nobody says otherwise.
DEFAULT_RUNTIME = _ROWS[0].name
# The first that takes every element type: for what another cannot take.
GENERAL_RUNTIME = next(row.name for row in _ROWS if not row.dtypes)


def owner_of(model: Path) -> RuntimeFacts | None:
    """The runtime in whose own form the file is, by its suffix; None for all others."""
    return next((row for row in _ROWS if row.own_suffix == model.suffix != ""), None)


def precision_meant(runtime: str, asked: str) -> str:
    """The precision that is asked of a runtime, where fp32 is what nobody chose and it has none."""
    return "fp16" if asked == "fp32" and find_runtime(runtime).no_fp32 else asked


def own_form_words() -> str:
    """The forms of models that are a runtime's own: "an ncnn .param file"."""
    rows = [row for row in _ROWS if row.own_suffix]
    return ", ".join(f"an {row.title} {row.own_suffix} file" for row in rows)


def find_runtime(name: str) -> RuntimeFacts:
    """The runtime of that name; UsageError with the nearest names where there is none."""
    if name in RUNTIMES:
        return RUNTIMES[name]
    near = difflib.get_close_matches(name, RUNTIMES)
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"There is no runtime '{name}'.{question}", remedy=f"Runtimes: {', '.join(RUNTIMES)}."
    )
