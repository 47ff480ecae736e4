"""What only moves values: shapes, axes, parts, pads, copies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from tests.integration.models.operators.case import (
    Case,
    floats,
    ints,
    label,
    number,
    several,
    single,
)


def reshapes() -> Iterator[Case]:
    shape = (1, 6, 4, 5)
    for target in (
        (1, -1),
        (0, 2, -1),
        (120,),
        (6, 20),
        (1, 4, 6, 5),
        (2, 3, 4, 5),
        (1, 2, 3, 4, 5),
    ):
        yield single(f"reshape/{label(target)}", "Reshape", shape, ints(*target))
    yield single("reshape/allowzero", "Reshape", shape, ints(6, -1), allowzero=1)
    yield single("reshape/16", "Reshape", (1, 16, 4, 5), ints(1, 8, 8, 5))
    for axis in (0, 1, 2, 3, 4, -1):
        yield single(f"reshape/Flatten-{axis}", "Flatten", shape, axis=axis)
    yield single("reshape/Squeeze-11", "Squeeze", (1, 6, 1, 5), axes=[2], opset=11)
    yield single("reshape/Squeeze-13", "Squeeze", (1, 6, 1, 5), ints(0, 2))
    yield single("reshape/Squeeze-all", "Squeeze", (1, 6, 1, 5))
    yield single("reshape/Unsqueeze-11", "Unsqueeze", (6, 5), axes=[0, 3], opset=11)
    yield single("reshape/Unsqueeze-13", "Unsqueeze", (6, 5), ints(0, -1))
    yield single("reshape/Identity", "Identity", shape)
    yield single("reshape/Dropout-12", "Dropout", shape, number(0.4), opset=12)
    yield single("reshape/Dropout-10", "Dropout", shape, ratio=0.4, opset=10)
    yield single("reshape/Cast-float", "Cast", shape, to=TensorProto.FLOAT)
    yield several(
        "reshape/Cast-integer",
        [
            ("Cast", ["x"], ["t"], {"to": TensorProto.INT32}),
            ("Cast", ["t"], ["y"], {"to": TensorProto.FLOAT}),
        ],
        {"x": shape},
        ["y"],
    )
    yield several(
        "reshape/by-shape",
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "i"], ["n"], {}),
            ("Concat", ["n", "rest"], ["target"], {"axis": 0}),
            ("Reshape", ["x", "target"], ["y"], {}),
        ],
        {"x": shape},
        ["y"],
        {"i": ints(0), "rest": ints(3, -1)},
    )


def transposes() -> Iterator[Case]:
    for shape in ((5, 7), (1, 5, 7), (3, 5, 7), (8, 5, 16), (1, 4, 5, 7), (2, 4, 5, 7)):
        for order in itertools.permutations(range(len(shape))):
            yield single(
                f"transpose/{label(shape)}-{''.join(map(str, order))}",
                "Transpose",
                shape,
                perm=list(order),
            )
    yield single("transpose/default", "Transpose", (2, 3, 4, 5))
    for shape, order in (
        ((1, 16, 8, 12), (0, 2, 3, 1)),
        ((1, 8, 12, 16), (0, 3, 1, 2)),
        ((1, 2, 3, 4, 5), (0, 2, 1, 3, 4)),
        ((1, 2, 3, 4, 5), (0, 4, 3, 2, 1)),
        ((2, 3, 4, 5, 6), (0, 1, 4, 2, 3)),
        ((2, 3, 4, 5, 6), (4, 3, 2, 1, 0)),
        ((1, 2, 3, 1, 4, 5), (0, 2, 1, 3, 5, 4)),
        ((1, 2, 2, 3, 2, 3), (0, 3, 5, 1, 2, 4)),
        ((1, 3, 2, 4, 2, 5), (0, 1, 3, 5, 2, 4)),
        ((1, 8, 2, 4, 2, 5), (0, 1, 2, 4, 3, 5)),
        ((1, 2, 3, 4, 5, 2), (0, 1, 4, 2, 5, 3)),
    ):
        name = f"transpose/{label(shape)}-{''.join(map(str, order))}"
        yield single(name, "Transpose", shape, perm=list(order))


def concatenations() -> Iterator[Case]:
    for shape in ((5,), (3, 5), (1, 3, 5), (1, 8, 3, 5), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        for axis in range(len(shape)):
            longer = tuple(2 * size + 1 if a == axis else size for a, size in enumerate(shape))
            yield single(f"concat/{label(shape)}-{axis}", "Concat", shape, longer, shape, axis=axis)
    yield single("concat/16", "Concat", (1, 16, 5, 6), (1, 8, 5, 6), axis=1)
    yield single("concat/16-4", "Concat", (1, 16, 5, 6), (1, 4, 5, 6), (1, 3, 5, 6), axis=1)
    yield single("concat/negative", "Concat", (1, 4, 5), (1, 4, 3), axis=-1)
    yield single("concat/constant", "Concat", (1, 4, 5), floats(1, 4, 2), axis=2)
    yield single("concat/constant-first", "Concat", floats(1, 2, 5), (1, 4, 5), axis=1)
    yield single("concat/one", "Concat", (1, 4, 5), axis=1)
    yield single("concat/5d-batch", "Concat", (2, 2, 3, 4, 5), (2, 2, 1, 4, 5), axis=2)


def splits() -> Iterator[Case]:
    for shape, axis, sizes in (
        ((9,), 0, (2, 7)),
        ((4, 9), 0, (1, 3)),
        ((4, 9), 1, (2, 3, 4)),
        ((1, 9, 5), 1, (4, 5)),
        ((1, 16, 5, 6), 1, (8, 8)),
        ((1, 16, 5, 6), 1, (4, 12)),
        ((1, 16, 5, 6), 1, (3, 13)),
        ((1, 8, 6, 5), 2, (1, 5)),
        ((1, 8, 6, 5), -1, (2, 3)),
        ((2, 3, 4, 5), 0, (1, 1)),
        ((2, 3, 4, 5), 2, (1, 3)),
        ((1, 2, 3, 4, 5), 3, (1, 3)),
        ((2, 2, 3, 4, 5), 2, (1, 2)),
    ):
        name = f"split/{label(shape)}-{axis}-{label(sizes)}"
        count = len(sizes)
        yield single(name, "Split", shape, ints(*sizes), axis=axis, outputs=count)
        yield single(f"{name}-11", "Split", shape, axis=axis, split=sizes, outputs=count, opset=11)
    yield single("split/equal", "Split", (1, 9, 5), axis=1, outputs=3)
    yield single("split/equal-11", "Split", (1, 9, 5), axis=1, outputs=3, opset=11)
    yield single("split/18", "Split", (1, 10, 5), axis=1, outputs=4, num_outputs=4, opset=18)
    yield single("split/one", "Split", (1, 9, 5), axis=1, outputs=1)
    yield several(
        "split/one-used",
        [("Split", ["x"], ["a", "b", "c"], {"axis": 1}), ("Relu", ["b"], ["y"], {})],
        {"x": (1, 9, 5)},
        ["y"],
    )


def slices() -> Iterator[Case]:
    shape = (1, 8, 9, 10)
    far = 2**62
    for name, starts, ends, axes, steps in (
        ("channels", (2,), (6,), (1,), None),
        ("channels-4", (4,), (8,), (1,), None),
        ("rows", (1,), (-1,), (2,), None),
        ("both", (1, 2), (7, far), (2, 3), None),
        ("three", (1, 1, 2), (7, 5, 9), (1, 2, 3), (1, 1, 1)),
        ("negative-axis", (-3,), (far,), (-1,), None),
        ("negative-start", (-4,), (-1,), (1,), None),
        ("step", (0,), (far,), (3,), (2,)),
        ("step-odd", (1,), (far,), (2,), (3,)),
        ("step-channels", (1,), (far,), (1,), (2,)),
        ("steps", (0, 1), (far, far), (2, 3), (2, 2)),
        ("steps-three", (0, 1, 1), (far, 8, far), (1, 2, 3), (3, 2, 4)),
        ("focus", (1, 0), (far, far), (2, 3), (2, 2)),
        ("flip", (-1,), (-far,), (3,), (-1,)),
        ("flip-channels", (-1,), (-far,), (1,), (-1,)),
        ("flip-part", (6,), (1,), (2,), (-1,)),
        ("flip-step", (-1,), (-far,), (3,), (-3,)),
        ("flip-both", (-1, -1), (-far, -far), (2, 3), (-1, -1)),
        ("flip-and-cut", (-1, 1), (-far, 5), (2, 3), (-1, 1)),
        ("whole", (0,), (far,), (2,), None),
        ("large-step", (2,), (far,), (3,), (100,)),
    ):
        given = [ints(*starts), ints(*ends), ints(*axes)]
        if steps is not None:
            given.append(ints(*steps))
        yield single(f"slice/{name}", "Slice", shape, *given)
    yield single("slice/9", "Slice", shape, starts=[1, 2], ends=[5, 9], axes=[1, 3], opset=9)
    yield single("slice/9-no-axes", "Slice", shape, starts=[0, 2], ends=[1, 9], opset=9)
    yield single("slice/1d", "Slice", (11,), ints(2), ints(9), ints(0), ints(3))
    yield single("slice/1d-flip", "Slice", (11,), ints(-1), ints(-99), ints(0), ints(-1))
    yield single("slice/2d", "Slice", (5, 11), ints(1, 2), ints(4, 9))
    yield single("slice/batch", "Slice", (3, 4, 5, 6), ints(1), ints(3), ints(0))
    yield single("slice/batch-flip", "Slice", (3, 4, 5, 6), ints(-1), ints(-9), ints(0), ints(-1))
    yield single("slice/4-axes", "Slice", (3, 4, 5, 6), ints(1, 1, 1, 1), ints(3, 3, 3, 3))
    yield single("slice/5d", "Slice", (1, 3, 4, 5, 6), ints(1, 1), ints(3, 3), ints(2, 4))
    yield single("slice/5d-step", "Slice", (2, 3, 4, 5, 6), ints(1), ints(9), ints(4), ints(2))


def gathers() -> Iterator[Case]:
    shape = (1, 6, 7, 5)
    for axis, indices in itertools.product(
        (1, 2, 3),
        (
            ints(2),
            np.asarray(3, dtype=np.int64),
            np.asarray(-1, dtype=np.int64),
            ints(0, 2, 4),
            ints(4, 1, 1, 0),
            ints(-1, -2, -3),
            ints(1, 1),
        ),
    ):
        words = "scalar" if indices.ndim == 0 else "list"
        name = f"gather/{axis}-{words}-{'_'.join(str(i) for i in indices.reshape(-1))}"
        yield single(name, "Gather", shape, indices, axis=axis)
    yield single("gather/matrix", "Gather", shape, ints(0, 2, 1, 3).reshape(2, 2), axis=1)
    yield single("gather/first", "Gather", (3, 6, 7), np.asarray(1), axis=0)
    yield single("gather/first-list", "Gather", (3, 6, 7), ints(2, 0))
    yield single("gather/negative-axis", "Gather", shape, ints(2, 0), axis=-2)
    yield single("gather/1d", "Gather", (9,), ints(2, 0, 8))
    yield single("gather/5d", "Gather", (1, 3, 6, 7, 2), np.asarray(1), axis=2)
    yield single("gather/5d-list", "Gather", (2, 3, 6, 7, 2), ints(1, 0), axis=2)
    scattered = ints(*np.random.default_rng(0).permutation(7).repeat(2))
    for axis, target in ((0, (7,)), (0, (7, 5)), (1, (1, 7, 5)), (2, (1, 6, 7)), (3, (1, 2, 3, 7))):
        name = f"gather/scattered-{label(target)}"
        yield single(name, "Gather", target, scattered, axis=axis)
    across, down = np.meshgrid(scattered, ints(0, 1, 1, 2, 5), indexing="ij")
    for form, tuples in (
        ("rows", ints(2, 0, -1).reshape(3, 1)),
        ("grid", np.stack([across, down], -1)),
        ("windows", np.stack([across, down], -1).reshape(7, 2, 5, 2)),
        ("swapped-grid", np.stack([across.T, down.T], -1)),
        ("diagonal", np.stack([ints(0, 2, -3), ints(1, 1, 4)], -1)),
        ("column", np.stack([ints(3, 3, 3), ints(4, 0, 1)], -1)),
        ("one", ints(3, 2)),
        ("deep", np.stack([ints(3, 0), ints(4, 0), ints(1, 0)], -1)),
    ):
        yield single(f"gather/ND-{form}", "GatherND", (7, 6, 3), tuples)
        yield single(f"gather/ND-{form}-4d", "GatherND", (7, 6, 3, 4), tuples)
    yield several(
        "gather/computed",
        [("ArgMax", ["x"], ["i"], {"axis": 2}), ("Gather", ["t", "i"], ["y"], {})],
        {"x": (1, 6, 7), "t": (7, 5)},
        ["y"],
    )
    yield single("gather/ND-batch", "GatherND", (2, 6, 3), ints(1, 2).reshape(2, 1), batch_dims=1)


def pads() -> Iterator[Case]:
    shape = (1, 6, 7, 8)
    for mode in ("constant", "edge", "reflect", "wrap"):
        opset = 19
        for name, amounts in (
            ("width", (0, 0, 0, 2, 0, 0, 0, 1)),
            ("height", (0, 0, 1, 0, 0, 0, 2, 0)),
            ("both", (0, 0, 1, 2, 0, 0, 3, 0)),
            ("channels", (0, 1, 0, 0, 0, 2, 0, 0)),
            ("three", (0, 1, 1, 2, 0, 2, 1, 0)),
            ("none", (0,) * 8),
            ("negative", (0, 0, -1, 0, 0, 0, -2, 1)),
        ):
            yield single(f"pad/{mode}-{name}", "Pad", shape, ints(*amounts), mode=mode, opset=opset)
        yield single(f"pad/{mode}-1d", "Pad", (9,), ints(2, 3), mode=mode, opset=opset)
        yield single(f"pad/{mode}-2d", "Pad", (4, 9), ints(1, 2, 2, 3), mode=mode, opset=opset)
        yield single(
            f"pad/{mode}-batch", "Pad", (2, 4, 9), ints(1, 0, 0, 0, 0, 1), mode=mode, opset=opset
        )
        yield single(
            f"pad/{mode}-5d",
            "Pad",
            (1, 3, 4, 5, 6),
            ints(0, 0, 1, 1, 1, 0, 0, 1, 0, 2),
            mode=mode,
            opset=opset,
        )
    yield single("pad/value", "Pad", shape, ints(0, 0, 1, 1, 0, 0, 1, 1), number(-1.5))
    yield single("pad/value-channels", "Pad", shape, ints(0, 1, 0, 1, 0, 1, 0, 1), number(2.5))
    yield single("pad/channels-16", "Pad", (1, 16, 5, 5), ints(0, 4, 0, 0, 0, 4, 0, 0))
    yield single("pad/channels-16-odd", "Pad", (1, 16, 5, 5), ints(0, 3, 0, 0, 0, 2, 0, 0))
    yield single("pad/16", "Pad", (1, 16, 5, 5), ints(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect")
    yield single("pad/2", "Pad", shape, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5, opset=2)
    yield single("pad/18-axes", "Pad", shape, ints(1, 2), number(0), ints(-1), opset=18)
    yield single("pad/18-two", "Pad", shape, ints(1, 2, 3, 4), None, ints(2, 3), opset=18)
    yield single("pad/four", "Pad", (2, 3, 4, 5), ints(1, 1, 1, 1, 0, 0, 0, 0))


def repeats() -> Iterator[Case]:
    for shape, counts in (
        ((5,), (3,)),
        ((3, 5), (2, 1)),
        ((3, 5), (2, 3)),
        ((1, 4, 5), (1, 2, 3)),
        ((1, 4, 5, 6), (1, 1, 2, 2)),
        ((1, 4, 5, 6), (1, 3, 1, 1)),
        ((1, 16, 5, 6), (1, 2, 1, 1)),
        ((1, 3, 5, 6), (2, 1, 1, 1)),
        ((2, 3, 4, 5), (2, 2, 2, 2)),
        ((1, 2, 3, 4, 5), (1, 2, 1, 2, 1)),
        ((1, 4, 5, 6), (1, 1, 1, 1)),
        ((4, 1, 1, 1, 2), (3, 2, 2, 3, 2)),
    ):
        yield single(f"tile/{label(shape)}-{label(counts)}", "Tile", shape, ints(*counts))
    for shape, target in (
        ((1,), (6,)),
        ((3, 1), (3, 4)),
        ((5,), (3, 5)),
        ((1, 4, 1, 1), (1, 4, 5, 6)),
        ((1, 1, 5, 6), (1, 8, 5, 6)),
        ((1, 4, 1, 6), (1, 4, 5, 6)),
        ((1, 4, 5, 1), (1, 4, 5, 6)),
        ((4, 1, 1), (2, 4, 5, 6)),
        ((1, 1, 1, 1), (2, 3, 4, 5)),
        ((1, 2, 3, 1, 5), (1, 2, 3, 4, 5)),
        ((1, 2, 1, 3, 4), (1, 2, 2, 3, 4)),
        ((2, 1, 3, 1, 5), (2, 2, 3, 4, 5)),
        ((3, 5), (1, 1)),
        ((1, 4, 5), (1, 4, 5)),
    ):
        yield single(f"expand/{label(shape)}-{label(target)}", "Expand", shape, ints(*target))


def shuffles() -> Iterator[Case]:
    for mode, (shape, size) in itertools.product(
        ("DCR", "CRD"), (((1, 8, 3, 5), 2), ((1, 18, 4, 3), 3), ((1, 32, 4, 5), 2))
    ):
        yield single(
            f"shuffle/DepthToSpace-{mode}-{label(shape)}",
            "DepthToSpace",
            shape,
            blocksize=size,
            mode=mode,
        )
    for shape, size in (((1, 3, 6, 8), 2), ((1, 4, 9, 6), 3), ((1, 16, 4, 4), 2)):
        yield single(f"shuffle/SpaceToDepth-{label(shape)}", "SpaceToDepth", shape, blocksize=size)
    yield single("shuffle/DepthToSpace-batch", "DepthToSpace", (2, 8, 3, 5), blocksize=2)
    yield single("shuffle/DepthToSpace-1", "DepthToSpace", (1, 8, 3, 5), blocksize=2, opset=1)
    for form, shape, sizes, options in (
        ("whole", (1, 24, 20), (8, 10), {"strides": [2, 2]}),
        ("overlapping", (1, 18, 42), (8, 9), {}),
        ("padded", (1, 12, 15), (6, 7), {"pads": [0, 1, 1, 2], "strides": [2, 2]}),
        ("dilated", (1, 12, 15), (6, 7), {"dilations": [3, 2], "strides": [1, 1]}),
        ("batch", (2, 12, 20), (8, 10), {"strides": [2, 2]}),
    ):
        block = ints(3, 3) if form == "overlapping" else ints(2, 2)
        operands = (shape, ints(*sizes), block)
        yield single(f"shuffle/Col2Im-{form}", "Col2Im", *operands, opset=18, **options)
    yield single("shuffle/Col2Im-1d", "Col2Im", (1, 6, 5), ints(10), ints(2), opset=18, strides=[2])
    for groups, channels in ((2, 16), (8, 16), (3, 24), (3, 12), (4, 32), (2, 58), (5, 10)):
        yield several(
            f"shuffle/channels-{groups}-{channels}",
            [
                ("Relu", ["x"], ["r"], {}),
                ("Reshape", ["r", "a"], ["t"], {}),
                ("Transpose", ["t"], ["s"], {"perm": [0, 2, 1, 3, 4]}),
                ("Reshape", ["s", "b"], ["y"], {}),
            ],
            {"x": (1, channels, 5, 6)},
            ["y"],
            {"a": ints(1, groups, channels // groups, 5, 6), "b": ints(1, channels, 5, 6)},
        )
