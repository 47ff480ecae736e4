"""LpPool of signals, images and volumes: p, strides, dilations, and every kind of padding."""

from deployx_edge.workflows.operators.cases import Case


def _case(name: str, shape: tuple[int, ...], *, opset: int = 18, **attributes: object) -> Case:
    return Case(name=name, inputs=(shape,), attributes=attributes, opset=opset)


CASES = (
    _case("image", (1, 3, 9, 11), kernel_shape=[3, 3]),
    _case("p1", (1, 3, 9, 11), kernel_shape=[2, 3], p=1),
    _case("p3", (1, 3, 9, 11), kernel_shape=[3, 2], p=3, strides=[2, 2]),
    _case("pads", (1, 5, 8, 7), kernel_shape=[3, 3], pads=[1, 0, 2, 1], strides=[1, 2]),
    _case("same-upper", (1, 2, 9, 10), kernel_shape=[4, 3], strides=[2, 3], auto_pad="SAME_UPPER"),
    _case("same-lower", (1, 2, 9, 10), kernel_shape=[4, 3], strides=[2, 3], auto_pad="SAME_LOWER"),
    _case("valid", (1, 2, 9, 10), kernel_shape=[4, 3], strides=[2, 3], auto_pad="VALID"),
    _case("dilated", (1, 2, 12, 11), kernel_shape=[3, 3], dilations=[2, 3], pads=[1, 1, 1, 1]),
    _case("ceil", (1, 2, 10, 11), kernel_shape=[3, 3], strides=[2, 3], ceil_mode=1),
    _case("signal", (1, 4, 17), kernel_shape=[5], strides=[3]),
    _case("volume", (1, 2, 5, 6, 7), kernel_shape=[2, 3, 3], strides=[1, 2, 2], pads=[0, 1, 1] * 2),
    _case("several", (3, 2, 7, 7), kernel_shape=[3, 3]),
    _case("opset-11", (1, 3, 9, 11), kernel_shape=[3, 3], opset=11),
)
