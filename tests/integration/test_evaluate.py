"""Accuracy on boards beside the reference, on the held-out digits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployx_edge.errors import AccuracyError, LinkLostError, UsageError
from deployx_edge.evaluation.results import Evaluation
from deployx_edge.measurement.values import RunOptions
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.evaluate import runners as runners
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.evaluate.thresholds import check_thresholds, parse_thresholds

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
MODEL, DATA = DIGITS / "digits_cnn.onnx", DIGITS / "digits_test.npz"


def on(*devices: str, **options: object) -> Evaluation:
    chosen = EvaluationOptions(**options)  # type: ignore[arg-type]
    return evaluate(MODEL, DATA, devices, options=chosen)


def command(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", "evaluate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize(
    ("device", "precision", "ran"),
    [
        ("local:", "fp32", "fp32"),
        ("local:", "fp16", "fp32"),
        ("virtual:linux-arm64?cpu=cortex-a53", "fp16", "fp32"),
        ("virtual:linux-arm64?cpu=cortex-a76", "fp16", "fp16"),
    ],
)
def test_the_board_is_as_accurate_as_the_reference(device: str, precision: str, ran: str) -> None:
    found = on(device, run=RunOptions(precision=precision))
    (place,) = found.places
    assert found.reference is not None
    assert (found.samples, found.kind, found.skipped) == (450, "npz", ())
    (reference,), (figure,) = found.reference.figures, place.figures
    assert reference.value > 0.95
    assert reference.interval is not None
    assert reference.interval.low < reference.value < reference.interval.high
    assert abs(figure.value - reference.value) <= 0.01
    assert place.precision.startswith(ran)
    said = [note for note in found.notes if "no layer ran in it" in note]
    assert len(said) == (precision != ran)  # never silently another
    assert place.agreement is not None
    assert place.agreement >= 0.99
    assert len(place.changed) == round(450 * (1 - place.agreement))
    assert place.samples_per_second > 0


def test_figures_are_those_of_a_plain_count() -> None:
    found = on(metrics=("top1", "top3"))
    with np.load(DATA) as file:
        images, labels = file["image"], file["labels"]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    scores = np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])
    order = np.argsort(-scores, axis=1)
    assert found.reference is not None
    top1, top3 = (figure.value for figure in found.reference.figures)
    assert top1 == pytest.approx((order[:, 0] == labels).mean())
    assert top3 == pytest.approx((order[:, :3] == labels[:, None]).any(axis=1).mean())
    assert [figure.value for figure in found.places[0].figures] == [top1, top3]


def answered(journals: Path) -> list[int]:
    """Where the whole records of the one journal there end, in bytes."""
    content = b"".join(path.read_bytes() for path in journals.glob("*"))
    ends = [0]
    while len(content) >= ends[-1] + 20:
        end = ends[-1] + 20 + int.from_bytes(content[ends[-1] + 12 : ends[-1] + 20], "little")
        if end > len(content):
            break
        ends.append(end)
    return ends[1:]


def test_a_run_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same figure as an unbroken run, without computing what was answered before."""
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    make_bundle(MODEL)
    words = [sys.executable, "-m", "deployx_edge", "evaluate", str(MODEL), "--dataset", str(DATA)]
    running = subprocess.Popen(
        [*words, "-d", "local:"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    journals = tmp_path / "cache" / "evaluations"
    deadline = time.monotonic() + 60
    while len(answered(journals)) < 20 and time.monotonic() < deadline:
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    kept = len(answered(journals))
    # As if the kill had come in the middle of a record, and another evaluation had added one.
    (path,), ends = journals.iterdir(), answered(journals)
    content = path.read_bytes()
    path.write_bytes(content[: ends[5]] + content[: ends[0]] + content[ends[5] : ends[-1] - 1])
    found = json.loads(command(MODEL, "--dataset", DATA, "-d", "local:", "--json").stdout)
    (place,) = found["places"]
    assert 20 <= place["resumed"] + 1 == kept < 450
    assert place["figures"][0]["value"] == on().places[0].figures[0].value
    assert not list(journals.iterdir())


def test_a_link_that_breaks_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    streamed = runners.streamed
    broken = []

    def breaking(*arguments: object):  # type: ignore[no-untyped-def]
        for index, item in enumerate(streamed(*arguments)):  # type: ignore[arg-type]
            if index == 30 and not broken:
                broken.append(index)
                raise LinkLostError("The link broke.")
            yield item

    monkeypatch.setattr(runners, "streamed", breaking)
    found = on("local:", limit=100)
    assert broken == [30]
    assert found.places[0].figures == on("local:", limit=100).places[0].figures


def images(folder: Path) -> Path:
    """A folder a class, of the example's three images, and one that is none."""
    for digit in (3, 5, 8):
        (folder / str(digit)).mkdir(parents=True)
        Image.open(DIGITS / f"digit_{digit}.png").save(folder / str(digit) / "a.png")
    (folder / "5" / "broken.png").write_bytes(b"\x89PNG no more")
    return folder


def test_folders_of_images_go_through_the_pre_processing(tmp_path: Path) -> None:
    folder = images(tmp_path / "images")
    found = evaluate(MODEL, folder, [])
    assert found.samples == 3
    assert [Path(item.name).name for item in found.skipped] == ["broken.png"]
    assert found.places[0].figures[0].value == 1.0
    shown = command(MODEL, "--dataset", folder).stdout
    assert "100.00%" in shown
    assert "Left out" in shown
    refused = command(MODEL, "--dataset", folder, "--strict", code=2)
    assert "broken.png" in refused.stderr


def test_a_bundle_needs_its_source_as_the_reference(tmp_path: Path) -> None:
    make_bundle(MODEL, tmp_path / "digits")
    alone = evaluate(tmp_path / "digits", DATA, [], options=EvaluationOptions(limit=20))
    assert alone.reference is None
    assert alone.places[0].differences == ()
    beside = evaluate(
        tmp_path / "digits", DATA, [], reference=MODEL, options=EvaluationOptions(limit=20)
    )
    assert beside.reference is not None
    assert beside.places[0].differences[0].value == 0.0
    with pytest.raises(UsageError, match="no reference to measure a drop from"):
        check_thresholds(alone, {}, {"top1": 0.01})


def test_what_is_demanded_sets_the_exit_code() -> None:
    words = (MODEL, "--dataset", DATA, "--limit", 50)
    command(*words, "--min", "top1=0.5", "--max-drop", "top1=0.0")
    refused = command(*words, "--min", "top1=0.999", code=AccuracyError.exit_code)
    assert "top1 on this computer is" in refused.stderr
    assert "error: " in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--dataset", "absent"), "There is no data set at absent"),
        (("--dataset", DATA, "--metric", "top10"), "top10 of 10 classes says nothing"),
        (("--dataset", DATA, "--metric", "accuracy"), "There is no metric 'accuracy'"),
        (("--dataset", DATA, "--metric", "mse"), "mse needs what output 'scores' should be"),
        (("--dataset", DATA, "--min", "top1"), "is not METRIC=VALUE"),
        (("--dataset", DATA, "--limit", "5", "--min", "top5=1"), "top5 was not measured"),
    ],
)
def test_what_does_not_fit(words: tuple[object, ...], says: str) -> None:
    assert says in command(MODEL, *words, code=2).stderr


def test_thresholds_know_which_way_is_good() -> None:
    assert parse_thresholds(["mse=0.1", "top1=1"], "--min") == {"mse": 0.1, "top1": 1.0}
    with pytest.raises(UsageError, match="--min =3 is not"):
        parse_thresholds(["=3"], "--min")


def test_several_boards_are_evaluated_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as alone; what fails on one is its row, and the exit code, and not the others' end."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for name, uri in (("left", "local:"), ("arm", "virtual:linux-arm64"), ("right", "local:")):
        lines += [f"[devices.{name}]", f'uri = "{uri}"', f'work_folder = "{tmp_path / name}"']
    lines += ["[devices.broken]", 'uri = "local:"', 'target = "linux-arm64"']
    (tmp_path / "deployx.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = images(tmp_path / "images")
    words = (MODEL, "--dataset", folder, "-d", "left,arm", "-d", "broken,right")
    saved = ("--report", tmp_path / "page", "--save-outputs", tmp_path / "outputs")
    done = command(*words, *saved, "--json", code=34)
    found = json.loads(done.stdout)
    assert [place["place"] for place in found["places"]] == ["left", "arm", "right"]
    assert [place["figures"][0]["value"] for place in found["places"]] == [1.0, 1.0, 1.0]
    assert [place["agreement"] for place in found["places"]] == [1.0, 1.0, 1.0]
    assert found["samples"] == 3
    assert [Path(item["name"]).name for item in found["skipped"]] == ["broken.png"]
    (failure,) = found["failures"]
    assert (failure["place"], failure["exit_code"]) == ("broken", 34)
    assert "uname -m says x86_64" in failure["error"]
    assert "error: broken: uname -m says x86_64" in done.stderr
    assert "broken failed: uname -m" in (tmp_path / "page" / "index.html").read_text()
    kept = sorted(path.name for path in (tmp_path / "outputs").iterdir() if path.is_dir())
    assert kept == ["arm", "left", "reference", "right"]
    shown = command(*words, "--min", "top1=0.5", code=34)
    assert "broken" in shown.stdout
    assert "failed" in shown.stdout
    refused = command(*words, "--min", "top1=1.5", code=AccuracyError.exit_code)
    assert "error: broken: " in refused.stderr


def test_boards_without_a_reference_read_the_data_each_for_itself(tmp_path: Path) -> None:
    make_bundle(MODEL, tmp_path / "digits")
    devices = ["local:", "virtual:linux-arm64"]
    chosen = EvaluationOptions(limit=60)
    found = evaluate(tmp_path / "digits", DATA, devices, options=chosen)
    alone = evaluate(tmp_path / "digits", DATA, [], options=chosen)
    assert found.samples == alone.samples == 60
    assert found.failures == ()
    assert [p.figures for p in found.places] == [alone.places[0].figures] * 2


def test_where_every_board_fails_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tables = [f'[devices.{name}]\nuri = "local:"\ntarget = "linux-arm64"\n' for name in "ab"]
    (tmp_path / "deployx.toml").write_text("\n".join(tables), encoding="utf-8")
    saved = ("--report", "page", "--save-outputs", "outputs")
    words = (MODEL, "--dataset", DATA, "--limit", 10, *saved)
    command(*words)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    found = json.loads(command(*words, "-d", "a,b", "--json", code=34).stdout)
    assert found["places"] == []
    assert [failure["place"] for failure in found["failures"]] == ["a", "b"]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()} == before
