import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.agent import messages
from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.errors import UsageError
from deployx_edge.measurement.choices import PRECISIONS
from deployx_edge.measurement.values import RunOptions

STORAGE = ("fp16_storage", "fp16_arithmetic", "fp16_packed", "bf16_storage")


@settings(derandomize=True)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_tensor_survives_the_way_there_and_back(shape, batched, seed):
    array = numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)
    message = agent_pb2.Tensor.FromString(
        messages.tensor_message("in0", array, batched).SerializeToString()
    )
    assert message.batched is batched
    numpy.testing.assert_array_equal(messages.array_of(message), array)


def test_a_strided_array_is_sent_dense():
    array = numpy.arange(12, dtype=numpy.float32).reshape(3, 4).T
    message = messages.tensor_message("in0", array, False)
    assert list(message.dims) == [4, 3]
    numpy.testing.assert_array_equal(messages.array_of(message), array)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_says_every_storage_option(precision):
    message = messages.options_message(RunOptions(precision=precision))
    assert all(message.HasField(name) for name in STORAGE)
    assert [name for name in STORAGE if getattr(message, name)] == {
        "fp32": [],
        "fp16": ["fp16_storage", "fp16_arithmetic", "fp16_packed"],
        "bf16": ["bf16_storage"],
        "int8": [],
    }[precision]


def test_an_option_by_name_wins_over_the_precision():
    message = messages.options_message(RunOptions(precision="fp16", fp16_arithmetic=False))
    assert message.fp16_storage
    assert not message.fp16_arithmetic


def test_what_nobody_asked_for_stays_with_the_runtime():
    message = messages.options_message(RunOptions())
    assert not message.HasField("winograd_convolution")
    assert not message.HasField("packing_layout")


@pytest.mark.parametrize(
    "wrong", [{"precision": "fp8"}, {"cores": "medium"}, {"accelerator": "npu"}, {"threads": -1}]
)
def test_unknown_options_are_refused_by_name(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RunOptions(**wrong)


def test_absent_fields_of_a_board_are_not_available():
    board = messages.board_of(agent_pb2.DeviceDescription(machine="aarch64", cores=4))
    assert board.memory_bytes is None
    assert board.cpu_model is None
    assert board.cores == 4
