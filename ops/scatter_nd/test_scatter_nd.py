"""ScatterND by elements, rows and planes, with each reduction, with negative indices."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _tuples(sizes: tuple[int, ...], count: int, *, once: bool = True) -> Fed:
    """Indices of these first axes, none of them twice where that would leave the order open."""
    random = np.random.default_rng([count, *sizes])
    flat = random.permutation(int(np.prod(sizes)))[:count]
    if not once:
        flat = random.integers(0, int(np.prod(sizes)), count)
    found = np.stack(np.unravel_index(flat, sizes), -1).astype(np.int64)
    found[::2] -= np.asarray(sizes)
    return Fed(values=found)


CASES = (
    Case(name="elements", inputs=((4, 5, 6), _tuples((4, 5, 6), 11), (11,))),
    Case(name="rows", inputs=((4, 5, 6), _tuples((4, 5), 7), (7, 6))),
    Case(name="planes", inputs=((5, 3, 7), _tuples((5,), 3), (3, 3, 7))),
    Case(name="image", inputs=((2, 3, 5, 7), _tuples((2, 3, 5), 6), (6, 7))),
    *(
        Case(
            name=reduction,
            inputs=((3, 4, 5), _tuples((3, 4), 20, once=False), (20, 5)),
            attributes={"reduction": reduction},
            opset=18,
        )
        for reduction in ("add", "mul", "min", "max")
    ),
    Case(name="vector", inputs=((13,), _tuples((13,), 5), (5,)), opset=11),
)
