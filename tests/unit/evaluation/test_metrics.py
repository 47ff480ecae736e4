from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.metrics.accumulators import MeanError, PeakSignalToNoise, TopK
from deployx_edge.evaluation.metrics.metrics import metric_by_name
from deployx_edge.evaluation.metrics.scores import (
    NO_CLASS,
    agreement,
    decibels,
    mean_absolute_error,
    mean_squared_error,
    per_class_accuracy,
    predicted_classes,
    top_k_hits,
)
from deployx_edge.evaluation.metrics.wilson import (
    PairedCounts,
    pair,
    paired_difference,
    wilson_interval,
)
from deployx_edge.evaluation.values import Answer, Target
from deployx_edge.model import PostProcessing, TensorSpec
from deployx_edge.processing.postprocessing import classify
from tests.unit.models.bundles import spec

SCORES = spec("scores", (1, 3), runtime_name="out0")
IMAGE = spec("restored", (1, 3, 4, 4), runtime_name="out1")
THREE = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])


def table(both: int, first_only: int, second_only: int, neither: int) -> PairedCounts:
    return PairedCounts(both=both, first_only=first_only, second_only=second_only, neither=neither)


def test_top_k_by_hand():
    labels = [1, 1, 2, 2]
    assert top_k_hits(THREE, labels, 1).tolist() == [True, False, True, False]
    assert top_k_hits(THREE, labels, 2).tolist() == [True, True, True, False]
    assert top_k_hits(THREE, labels, 3).all()


def test_equal_scores_and_nan_are_no_luck():
    constant = np.zeros((3, 3))
    assert top_k_hits(constant, [0, 1, 2], 1).tolist() == [True, False, False]
    assert top_k_hits(constant, [0, 1, 2], 2).tolist() == [True, True, False]
    broken = np.array([[np.nan, 1.0, 0.0], [np.nan] * 3, [-np.inf, 0.0, -np.inf]])
    assert top_k_hits(broken, [1, 0, 1], 2).tolist() == [False, False, True]
    assert predicted_classes(broken).tolist() == [NO_CLASS, NO_CLASS, 1]


@settings(derandomize=True)
@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=8),
    st.data(),
)
def test_top_k_is_what_classify_lists_first(values, data):
    label = data.draw(st.integers(0, len(values) - 1))
    k = data.draw(st.integers(1, len(values)))
    listed = classify(PostProcessing(output="scores"), np.array(values), k)
    hit = top_k_hits(np.array([values]), [label], k)[0]
    assert hit == (label in [entry.index for entry in listed])


@settings(derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=60))
def test_recall_and_accuracy_agree(pairs):
    truth, predicted = [t for t, _ in pairs], [p for _, p in pairs]
    recalls = per_class_accuracy(truth, predicted, 5)
    assert sum(entry.count for entry in recalls) == len(pairs)
    right = sum(entry.correct for entry in recalls) / len(pairs)
    assert right == pytest.approx(agreement(truth, predicted))


def test_recalls_by_hand():
    recalls = per_class_accuracy([0, 0, 1], [0, 1, 1], 3)
    assert [entry.accuracy for entry in recalls] == [0.5, 1.0, None]


@pytest.mark.parametrize(
    "call",
    [
        lambda: top_k_hits(THREE, [0, 1, 2, 3], 1),
        lambda: top_k_hits(THREE, [0, 1, 2, -1], 1),
        lambda: per_class_accuracy([0, 3], [0, 0], 3),
        lambda: per_class_accuracy([-1], [0], 3),
    ],
)
def test_a_class_that_is_not_scored_is_refused(call):
    with pytest.raises(UsageError, match="There is no class"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: top_k_hits(THREE, [0], 1),
        lambda: agreement([1, 2], [1]),
        lambda: agreement([], []),
        lambda: top_k_hits(THREE, [0, 0, 0, 0], 4),
        lambda: top_k_hits(THREE[0], [0], 1),
        lambda: mean_squared_error(np.zeros(3), np.zeros((3, 1))),
        lambda: decibels(1.0, 0.0),
        lambda: wilson_interval(1, 0),
        lambda: wilson_interval(3, 2),
        lambda: wilson_interval(1, 2, confidence=95),
        lambda: pair([True], []),
    ],
)
def test_what_has_no_answer_is_refused(call):
    with pytest.raises(UsageError):
        call()


def test_errors_in_closed_form():
    found, wanted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.0, 1.0])
    assert mean_squared_error(found, wanted) == pytest.approx(13 / 3)
    assert mean_absolute_error(found, wanted) == pytest.approx(5 / 3)
    # An error of a tenth of the peak everywhere is 20 dB.
    assert decibels(mean_squared_error(np.full(7, 25.5), np.zeros(7)), 255.0) == pytest.approx(20.0)
    assert decibels(mean_squared_error(found, found), 1.0) == math.inf
    # Whole numbers must not wrap around.
    assert mean_squared_error(np.array([0], np.uint8), np.array([255], np.uint8)) == 65025


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_as_published(successes, count, low, high):
    interval = wilson_interval(successes, count)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@settings(derandomize=True)
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilsons_bounds_are_where_the_score_test_turns(count, share, confidence):
    successes = round(share * count)
    interval = wilson_interval(successes, count, confidence=confidence)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    other = wilson_interval(count - successes, count, confidence=confidence)
    assert interval.low == pytest.approx(1.0 - other.high, abs=1e-9)
    z = math.sqrt(2) * _inverse_erf(confidence)
    for bound in (interval.low, interval.high):
        left = (interval.value - bound) ** 2
        assert left == pytest.approx(z * z * bound * (1 - bound) / count, rel=1e-6, abs=1e-9)


def _inverse_erf(value: float) -> float:
    low, high = 0.0, 6.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < value else (low, middle)
    return low


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table II, method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        # M. W. Fagerland et al., Statistics in Medicine 33 (2014) 2850-2875: airways.
        ((1, 1, 7, 12), -0.5069, -0.0256),
    ],
)
def test_newcombes_interval_as_published(counts, low, high):
    interval = paired_difference(table(*counts))
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


_COUNTS = st.integers(0, 5000)


@settings(derandomize=True)
@given(_COUNTS, _COUNTS, _COUNTS, _COUNTS)
def test_a_paired_difference_holds_its_value_and_turns_round(both, first, second, neither):
    if both + first + second + neither == 0:
        return
    one = paired_difference(table(both, first, second, neither))
    other = paired_difference(table(both, second, first, neither))
    assert -1.0 <= one.low <= one.value <= one.high <= 1.0
    assert one.low == pytest.approx(-other.high, abs=1e-12)
    assert one.high == pytest.approx(-other.low, abs=1e-12)


def test_the_paired_interval_covers_what_it_promises():
    generator = np.random.default_rng(7)
    shares = (0.80, 0.06, 0.03, 0.11)
    draws = generator.multinomial(400, shares, size=2000)
    intervals = [paired_difference(table(*map(int, draw))) for draw in draws]
    covered = sum(interval.low <= 0.03 <= interval.high for interval in intervals)
    assert 0.935 <= covered / 2000 <= 0.975
    # Pairing is worth it: apart, the two shares would be much less sure.
    apart = wilson_interval(344, 400)
    together = intervals[0]
    assert together.high - together.low < apart.high - apart.low


def test_pairs_are_counted():
    assert pair([True, True, False, False, True], [True, False, True, False, True]) == table(
        2, 1, 1, 1
    )


def test_top1_takes_one_sample_after_the_other():
    metric = metric_by_name("top1", outputs=[SCORES], classes=3)
    assert isinstance(metric, TopK)
    with pytest.raises(UsageError, match="No sample"):
        _ = metric.value
    for row, label in zip(THREE, [1, 1, 2, 2], strict=True):
        metric.update(Answer(outputs={"scores": row[None]}), Target(label=label))
    assert (metric.name, metric.unit, metric.count, metric.value) == ("top1", "%", 4, 0.5)
    assert metric.hits == (True, False, True, False)
    assert metric.predicted == (1, 0, 2, 0)
    assert metric.truth == (1, 1, 2, 2)


@settings(derandomize=True)
@given(st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=2), min_size=1, max_size=20))
def test_streamed_errors_are_those_of_all_at_once(rows):
    found, wanted = np.array(rows), np.zeros((len(rows), 2))
    square = metric_by_name("mse", outputs=[spec("y", (1, 2))])
    absolute = metric_by_name("mae", outputs=[spec("y", (1, 2))])
    noise = metric_by_name("psnr", outputs=[spec("y", (1, 2))], peak=10.0)
    for row, right in zip(found, wanted, strict=True):
        for metric in (square, absolute, noise):
            metric.update(Answer(outputs={"y": row[None]}), Target(arrays={"y": right[None]}))
    assert square.value == pytest.approx(mean_squared_error(found, wanted))
    assert absolute.value == pytest.approx(mean_absolute_error(found, wanted))
    assert noise.value == pytest.approx(decibels(mean_squared_error(found, wanted), 10.0))
    assert isinstance(square, MeanError)
    assert isinstance(noise, PeakSignalToNoise)
    assert len(square.per_sample) == len(noise.per_sample) == len(rows)
    assert (square.higher_is_better, noise.higher_is_better) == (False, True)


def test_nan_outputs_show():
    metric = metric_by_name("mse", outputs=[IMAGE])
    image = np.full((1, 3, 4, 4), np.nan)
    metric.update(
        Answer(outputs={"restored": image}), Target(arrays={"restored": np.zeros_like(image)})
    )
    assert math.isnan(metric.value)


WIDE = spec("wide", (1, 1000, 1, 1))


def test_scores_with_axes_of_one_are_scores():
    metric = metric_by_name("top5", outputs=[WIDE], classes=1000)
    scores = np.zeros((1, 1000, 1, 1))
    scores[0, 990:] = 1.0
    metric.update(Answer(outputs={"wide": scores}), Target(label=994))
    metric.update(Answer(outputs={"wide": scores}), Target(label=995))
    assert metric.value == 0.5


@pytest.mark.parametrize(
    ("name", "outputs", "options", "words"),
    [
        ("top6", [SCORES], {}, "top6 of 3 classes says nothing"),
        ("top5", [SCORES], {}, "Take top1 to top2"),
        ("top3", [SCORES], {}, "top3 of 3 classes says nothing"),
        ("top1", [spec("p", (1, 1))], {}, "Take mse or mae"),
        ("top1", [SCORES], {"classes": 4}, "'scores' has 3 scores, and there are 4 classes"),
        ("top1", [IMAGE], {}, "needs one score a class; output 'restored' is 3x4x4"),
        ("top1", [SCORES, IMAGE], {}, "is of one output, and the model has scores, restored"),
        ("mse", [SCORES], {"output": "score"}, "no output 'score', only scores"),
        ("psnr", [IMAGE], {"peak": -1.0}, "The peak of PSNR is -1"),
        (
            "mop",
            [SCORES],
            {},
            "no metric 'mop'.* Did you mean map.* Known are top1, top5",
        ),
        ("map", [SCORES], {}, "map needs to know how many classes there are"),
        ("top-1", [SCORES], {}, "Did you mean top1"),
        ("top0", [SCORES], {}, "no metric 'top0'"),
        (":", [SCORES], {}, "is not a metric"),
        ("nowhere_at_all:f", [SCORES], {}, "no module 'nowhere_at_all'"),
        ("math:sqr", [SCORES], {}, "math has no 'sqr'.* Did you mean"),
        ("math:pi", [SCORES], {}, "math:pi is float, not a function"),
        ("fractions:Fraction", [SCORES], {}, r"without update\(outputs, target\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, outputs: list[TensorSpec], options: dict[str, object], words: str
):
    with pytest.raises(UsageError, match=words):
        metric_by_name(name, outputs=outputs, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "outputs", "target", "words"),
    [
        ("top1", {"scores": THREE[:1]}, Target(), "needs the class of every sample"),
        ("top1", {"scores": THREE[:1]}, Target(label=3), "There is no class 3"),
        ("top1", {"scores": np.zeros((1, 4))}, Target(label=0), "gave 4 scores for 3 classes"),
        ("top1", {"other": THREE}, Target(label=0), "no output 'scores', only other"),
        ("mse", {"scores": THREE[:1]}, Target(label=0), "needs what output 'scores' should be"),
        ("mae", {"scores": THREE[:1]}, Target(arrays={"scores": np.zeros((1, 4))}), "of 1x4"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(name, outputs, target, words):
    metric = metric_by_name(name, outputs=[SCORES])
    with pytest.raises(UsageError, match=words):
        metric.update(Answer(outputs=outputs), target)
    assert metric.count == 0


USERS = """
def largest(outputs, target):
    return outputs["scores"].max() - target.label

largest.higher_is_better = True

def broken(outputs, target):
    return outputs["nothing"]

def text(outputs, target):
    return "good"

class Worst:
    def __init__(self):
        self.worst = 0.0

    def update(self, outputs, target):
        self.worst = max(self.worst, float(outputs["scores"].max()))

    def value(self):
        return self.worst
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_metrics_here.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "users_metrics_here", raising=False)
    return "users_metrics_here"


def test_the_users_own_metrics(users_module: str):
    before = list(sys.path)
    function = metric_by_name(f"{users_module}:largest", outputs=[SCORES])
    worst = metric_by_name(f"{users_module}:Worst", outputs=[SCORES])
    for row in THREE[:2]:
        function.update(Answer(outputs={"scores": row[None]}), Target(label=0))
        worst.update(Answer(outputs={"scores": row[None]}), Target(label=0))
    assert function.value == pytest.approx(0.6)
    assert worst.value == 0.7
    assert (function.count, worst.count) == (2, 2)
    assert (function.higher_is_better, worst.higher_is_better) == (True, None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("broken", "broken failed: KeyError: 'nothing'"),
        ("text", "gave str, not a number"),
    ],
)
def test_a_users_metric_that_fails_is_named(users_module: str, function: str, words: str):
    metric = metric_by_name(f"{users_module}:{function}", outputs=[SCORES])
    with pytest.raises(UsageError, match=words):
        metric.update(Answer(outputs={"scores": THREE[:1]}), Target(label=0))
    assert metric.count == 0
