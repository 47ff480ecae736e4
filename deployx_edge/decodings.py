"""Values that say how a model's outputs become boxes, masks, lines of text and places of text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BoxDecoding:
    """How outputs become boxes with a class and a score each.

    ``format``: "pairs" (boxes N x 4 in the post-processing's output, scores N x C in
    ``scores``), "yolo" (one output, 4 + C x N: cx, cy, width, height, a score a class),
    "yolo-objectness" (one output, N x 5 + C: the same with an objectness that every score is
    multiplied by), "yolox" (the same numbers as the network has them, before a cell's place and
    stride are applied; ``strides`` are those of its grids, in order), "ssd" (offsets N x 4 from the
    boxes in ``priors``, scores as for pairs; ``variances`` as in SSD), "lists" (boxes N x 4, their
    ``scores`` N and ``classes`` N; suppressed already), "rows" (N x 6: x0, y0, x1, y1, score,
    class; suppressed already) or "centres" (a score a class at each cell of a grid C x H x W, the
    boxes' ``sizes`` and ``offsets`` 2 x H x W, and ``landmarks`` 2K x H x W, as of CenterFace).
    ``corners`` says what a box's numbers are: ``xyxy``, ``yxyx`` or ``cxcywh``; in the input's
    pixels, or in 0 … 1 of its sides where ``relative``. ``activation`` is what the scores still
    need: ``none``, ``sigmoid`` or ``softmax``. ``background`` says where the class of nothing is
    among them: ``none``, ``first`` or ``last``. ``best``: a box has the class of its largest
    score only, else each class whose score is enough. ``points`` is how many key points follow
    the scores of a box, of ``point_values`` numbers each: x, y in the input's pixels and, where
    there are three, a score. Boxes below ``score`` are dropped; of two of one class
    (``agnostic``: of any class) that overlap by more than ``iou`` the lower, none where ``iou``
    is 1; at most ``most`` are kept. ``clip``: boxes are cut to the input before they are compared.
    """

    format: str = "pairs"
    scores: str = ""
    priors: str = ""
    corners: str = "xyxy"
    relative: bool = False
    activation: str = "none"
    background: str = "none"
    variances: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    score: float = 0.01
    iou: float = 0.5
    most: int = 100
    best: bool = False
    agnostic: bool = False
    points: int = 0
    point_values: int = 3
    strides: tuple[int, ...] = (8, 16, 32)
    classes: str = ""
    sizes: str = ""
    offsets: str = ""
    landmarks: str = ""
    clip: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that are needed beside the post-processing's own."""
        named = (self.scores, self.priors, self.classes, self.sizes, self.offsets, self.landmarks)
        return tuple(name for name in named if name)


@dataclass(frozen=True, kw_only=True)
class MaskDecoding:
    """How an output becomes a class for each pixel.

    ``layout``: ``NCHW`` or ``NHWC`` (a score a class: the largest wins; with a single channel,
    class 1 is where it is above ``threshold``, class 0 elsewhere), or ``NHW`` (classes already).
    ``upsample``: how scores become those of the image's pixels, the ``nearest`` ones, or
    ``bilinear`` between four of them before the largest is taken.
    """

    layout: str = "NCHW"
    threshold: float = 0.5
    upsample: str = "nearest"


@dataclass(frozen=True, kw_only=True)
class TextDecoding:
    """How an output becomes a line of text: the best class at each step, by CTC.

    Connectionist temporal classification: of equal classes in a row one counts, and the ``blank``
    ("first" or "last" of the classes) none. ``layout``: ``NTC`` (samples, steps, classes) or
    ``TNC``. ``softmax``: the scores still need one to become probabilities.
    """

    layout: str = "NTC"
    blank: str = "first"
    softmax: bool = False


@dataclass(frozen=True, kw_only=True)
class AreaDecoding:
    """How a map of probabilities (N x 1 x height x width) becomes places of text (DB).

    What is above ``threshold`` is text; ``dilate`` widens that by a pixel to the left and above.
    Of each connected piece the outline is taken: the rectangle of the least area around it
    (``shape`` "box"), or a simplified outline ("polygon"). Its score is the mean probability
    within; below ``score`` it goes. What stays is widened by ``unclip`` times its area over its
    circumference. At most ``most`` are kept; ``sigmoid``: the map still needs one.
    """

    threshold: float = 0.3
    score: float = 0.5
    unclip: float = 1.6
    shape: str = "box"
    dilate: bool = False
    most: int = 1000
    sigmoid: bool = False
