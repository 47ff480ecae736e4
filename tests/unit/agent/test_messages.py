import ml_dtypes
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.agent import messages
from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions


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


def test_options_go_as_they_are_and_the_rest_stays_with_the_runtime():
    named = (("fp16_arithmetic", "off"), ("sgemm_convolution", "on"))
    message = messages.options_message(RunOptions(precision="fp16", named=named))
    assert message.precision == "fp16"
    assert dict(message.named) == dict(named)
    assert not messages.options_message(RunOptions()).named


NAMES = ("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
TYPES = [*map(numpy.dtype, (*NAMES, *UNSIGNED)), numpy.dtype(ml_dtypes.bfloat16)]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_element_type_survives_in_up_to_eight_dimensions(dtype):
    for shape in ((), (0, 3), (2, 3), (1, 2, 1, 2, 1, 2, 1, 2)):
        values = numpy.random.default_rng(0).integers(0, 2, shape)
        array = numpy.asarray(values, dtype=dtype).reshape(shape)
        message = messages.tensor_message("in0", array, False)
        assert (message.dtype, list(message.dims)) == (str(dtype), list(shape))
        found = messages.array_of(message)
        assert found.dtype == dtype
        assert found.shape == shape
        assert found.tobytes() == array.tobytes()


def test_what_a_layer_is_not_told_of_is_none():
    message = agent_pb2.LayerTimes(index=1, name="conv", type="Conv", ns=[1, 2])
    layer = messages.layer_of(message)
    assert (layer.element_bits, layer.packing, layer.precision) == (None, None, None)
    assert (layer.samples_ns, layer.samples_cycles) == ((1, 2), ())


def test_what_a_unit_counts_in_cycles_is_no_time():
    layer = messages.layer_of(agent_pb2.LayerTimes(index=1, name="conv", cycles=[3, 4]))
    assert (layer.samples_ns, layer.samples_cycles) == ((), (3, 4))


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
