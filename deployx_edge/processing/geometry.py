"""Where a point of a model's input lies in the image that the input was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# In a map of classes: a pixel that the model was not shown, or that nobody annotated.
IGNORED = 255


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How an image of ``width`` by ``height`` pixels lies in a model's input.

    The point ``(x, y)`` of the image is at ``(x * scale_x + offset_x, y * scale_y + offset_y)``
    of the input, which has ``input_width`` by ``input_height`` pixels. Points are continuous:
    an image's left edge is 0, its right edge its width.
    """

    width: int
    height: int
    input_width: int
    input_height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def boxes_to_image(self, boxes: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes (N, 4) as x0, y0, x1, y1 in the input's pixels, in the image's; cut to it."""
        import numpy as np

        found = (np.asarray(boxes, np.float64) - self._offsets) / self._scales
        edges = (self.width, self.height, self.width, self.height)
        clipped: NDArray[np.float64] = np.clip(found, 0.0, edges)
        return clipped

    def points_to_image(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Points (..., 2) as x, y in the input's pixels, in the image's; not cut to it."""
        import numpy as np

        found: NDArray[np.float64] = np.asarray(points, np.float64) - self._offsets[:2]
        return found / self._scales[:2]

    def classes_to_image(self, classes: NDArray[Any]) -> NDArray[Any]:
        """A map of classes (rows, columns) over the whole input as one over the image.

        (height, width), of the same type; each pixel has what its middle falls on (nearest
        neighbour). What the model was not shown is IGNORED.
        """
        import numpy as np

        rows, columns = classes.shape
        x = (np.arange(self.width) + 0.5) * self.scale_x + self.offset_x
        y = (np.arange(self.height) + 0.5) * self.scale_y + self.offset_y
        across = np.floor(x * (columns / self.input_width)).astype(np.int64)
        down = np.floor(y * (rows / self.input_height)).astype(np.int64)
        seen = np.logical_and.outer((down >= 0) & (down < rows), (across >= 0) & (across < columns))
        found = classes[np.clip(down, 0, rows - 1)][:, np.clip(across, 0, columns - 1)]
        return np.where(seen, found, np.asarray(IGNORED, dtype=classes.dtype))

    def area_in(self, columns: int, rows: int) -> tuple[float, float, float, float]:
        """Where the image lies in a map over the whole input: left, top, right and bottom."""
        across, down = columns / self.input_width, rows / self.input_height
        left, top = self.offset_x * across, self.offset_y * down
        right = left + self.width * self.scale_x * across
        return left, top, right, top + self.height * self.scale_y * down

    @property
    def _scales(self) -> tuple[float, float, float, float]:
        return (self.scale_x, self.scale_y, self.scale_x, self.scale_y)

    @property
    def _offsets(self) -> tuple[float, float, float, float]:
        return (self.offset_x, self.offset_y, self.offset_x, self.offset_y)
