"""What `run` finds in images, folders and videos, printed, drawn and as JSON: on real models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import helper
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.processing.findings import FoundBox, SampleFound
from deployx_edge.report.annotation import enlargement
from deployx_edge.report.drawing import colour_of
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.measure.recognize import RunFiles, RunSummary, recognize
from deployx_edge.workflows.measure.requests import RunRequest
from deployx_edge.workflows.measure.videos import VideoReader
from tests.integration.models.examples_as_onnx import ROOT, export_example
from tests.integration.models.onnx_models import constant, model, save, small_cnn

SHAPES = "circle|square|triangle"
BOXES = f"detection,labels={SHAPES},score=0.3"
MASKS = f"segmentation,labels=ground|{SHAPES}"
BILINEAR = Image.Resampling.BILINEAR
DIGITS = ROOT / "examples" / "digits"
DETECTED = ROOT / "examples" / "detector" / "picture_6.png"
SEGMENTED = ROOT / "examples" / "segmenter" / "picture_5.png"


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Bundles and the board `local:` are these tests' own: nobody else has to be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_example("detector", folder)
    export_example("segmenter", folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames, of which every second one is the same."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [cv2.imread(str(DETECTED.with_name(f"picture_{n}.png"))) for n in (6, 10)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (128, 128))
    for number in range(30):
        writer.write(frames[number % 2])
    writer.release()
    return path


def found(
    model: Path, *paths: Path, device: str | None = None, said: tuple[str, str] = ("", ""), **more
) -> tuple[list[SampleFound], RunSummary]:
    samples: list[SampleFound] = []
    request = RunRequest(
        model=model,
        device=device,
        preprocess=(said[0],) if said[0] else (),
        postprocess=(said[1],) if said[1] else (),
    )
    summary = recognize(request, RunFiles(paths=paths, **more), samples.append)
    assert summary.samples == len(samples)
    return samples, summary


def deployx(*words: object, code: int = 0, without: str = "") -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.modules[{without!r}] = None; " if without else ""
    start += "from deployx_edge.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    return done


def corners(box: FoundBox) -> list[float]:
    return [box.x0, box.y0, box.x1, box.y1]


def shapes_in(model: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The detector's boxes and scores for an image of its own size, straight from the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    pixels = np.asarray(Image.open(file).convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
    boxes, scores = session.run(["boxes", "scores"], {"image": pixels})
    return boxes[0], scores[0]


def kept(boxes: np.ndarray, scores: np.ndarray, least: float, iou: float) -> list[tuple]:
    """(class, score, corners), suppressed class by class by OpenCV, best first."""
    result = []
    for index in range(scores.shape[1]):
        sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        chosen = cv2.dnn.NMSBoxes(sides.tolist(), scores[:, index].tolist(), least, iou)
        result += [
            (index, float(scores[i, index]), boxes[i]) for i in np.asarray(chosen, int).ravel()
        ]
    return sorted(result, key=lambda row: -row[1])


@pytest.mark.parametrize("device", [None, "local:"])
def test_a_source_and_a_board_find_the_boxes_that_opencv_keeps(
    models: Path, device: str | None
) -> None:
    (sample,), _ = found(models / "detector.onnx", DETECTED, device=device, said=("std=255", BOXES))
    wanted = kept(*shapes_in(models / "detector.onnx", DETECTED), 0.3, 0.5)
    (finding,) = sample.findings
    assert len(wanted) > 4
    assert [box.index for box in finding.boxes] == [index for index, _, _ in wanted]
    for box, (index, score, place) in zip(finding.boxes, wanted, strict=True):
        assert box.label == SHAPES.split("|")[index]
        assert box.score == pytest.approx(score, abs=1e-3)
        assert corners(box) == pytest.approx(list(np.clip(place, 0, 128)), abs=0.1)
    assert (sample.width, sample.height) == (128, 128)
    assert sample.outputs == ()  # all of them are explained


def test_boxes_are_in_the_pixels_of_the_image_and_drawn_there(models: Path, tmp_path: Path) -> None:
    # A large image with bars: the model sees it small, in the corner of a gray square.
    large = Image.open(DETECTED).convert("RGB").resize((1280, 1280)).crop((0, 0, 1280, 1000))
    large.save(tmp_path / "large.png")
    shown = tmp_path / "shown"
    (large_sample, sample), summary = found(
        models / "detector.onnx",
        *(tmp_path / "large.png", DETECTED),
        said=("std=255,fit=letterbox,place=corner", BOXES),
        show_folder=shown,
    )
    (first,), (second,) = large_sample.findings, sample.findings
    assert corners(first.boxes[0]) == pytest.approx(
        [10 * value for value in corners(second.boxes[0])], abs=12
    )
    assert summary.drawn == (shown / "large.png", shown / "picture_6.png")
    for one, path in ((large_sample, summary.drawn[0]), (sample, summary.drawn[1])):
        assert one.drawn == path
        with Image.open(path) as drawn:
            pixels = np.asarray(drawn.convert("RGB"))
        assert one.width is not None and one.height is not None
        factor = enlargement(one.width, one.height)
        assert pixels.shape[:2] == (one.height * factor, one.width * factor)
        box = one.findings[0].boxes[0]  # nothing is drawn over the best one but its own words
        colour = colour_of(box.index)
        left, right = int(box.x0 * factor), int(np.ceil(box.x1 * factor)) - 1
        top, bottom = int(box.y0 * factor), int(np.ceil(box.y1 * factor)) - 1
        middle = ((left + right) // 2, (top + bottom) // 2)
        for x, y in ((left, middle[1]), (right, middle[1]), (middle[0], bottom), (right, top)):
            assert tuple(pixels[y, x]) == colour, (x, y)
        assert tuple(pixels[middle[1], middle[0]]) != colour
        if right + 1 < pixels.shape[1]:
            assert tuple(pixels[middle[1], right + 1]) != colour


def test_a_trained_detector_of_a_wheel_finds_what_its_outputs_say(tmp_path: Path) -> None:
    spec = util.find_spec("nudenet")
    assert spec is not None and spec.origin is not None
    model = Path(spec.origin).parent / "320n.onnx"
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.jpg", quality=95)
    request = RunRequest(
        model=model,
        shapes=("images:1x3x320x320",),
        preprocess=("std=255",),
        postprocess=("detection,format=yolo,score=0.25,iou=0.45",),
    )
    samples: list[SampleFound] = []
    summary = recognize(request, RunFiles(paths=[tmp_path / "astronaut.jpg"]), samples.append)
    rows = summary.arrays["output0"][0]
    half = rows[2:4] / 2
    boxes = np.concatenate([rows[:2] - half, rows[:2] + half]).T
    wanted = kept(boxes, rows[4:].T, 0.25, 0.45)
    (finding,) = samples[0].findings
    assert wanted and len(finding.boxes) == len(wanted)
    for box, (index, score, place) in zip(finding.boxes, wanted, strict=True):
        assert (box.index, box.score) == (index, pytest.approx(score))
        assert corners(box) == pytest.approx(list(np.clip(place * 512 / 320, 0, 512)), abs=1e-2)
    # Nothing known: no value of a detector is a score of a class.
    printed = deployx(
        *("run", model, "-i", "images:1x3x320x320", "-i", tmp_path / "astronaut.jpg"),
        *("--preprocess", "std=255"),
    ).stdout
    assert "1x22x2100" in printed and "float32" in printed
    assert "largest" not in printed and "(879)" not in printed


def test_a_trained_recogniser_of_a_wheel_reads_a_line(tmp_path: Path) -> None:
    import onnx

    spec = util.find_spec("rapidocr_onnxruntime")
    assert spec is not None and spec.origin is not None
    model = Path(spec.origin).parent / "models" / "ch_PP-OCRv4_rec_infer.onnx"
    meta = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    (tmp_path / "letters.txt").write_text(meta["character"] + "\n", encoding="utf-8")
    canvas = Image.new("RGB", (320, 48), "white")
    font = ImageFont.load_default(size=32)
    ImageDraw.Draw(canvas).text((8, 4), "Hello board 42", fill="black", font=font)
    canvas.save(tmp_path / "line.png")
    request = RunRequest(
        model=model,
        shapes=("x:1x3x48x320",),
        preprocess=("mean=127.5,std=127.5,fit=height,colour=bgr",),
        postprocess=(f"text,dictionary={tmp_path / 'letters.txt'}",),
    )
    samples: list[SampleFound] = []
    files = RunFiles(paths=[tmp_path / "line.png"], show_folder=tmp_path / "shown")
    summary = recognize(request, files, samples.append)
    (finding,) = samples[0].findings
    assert finding.text is not None and finding.text.text.strip() == "Hello board 42"
    assert finding.text.score > 0.8 and samples[0].outputs == ()
    with Image.open(summary.drawn[0]) as drawn:
        assert drawn.width >= 320 and drawn.height > 48  # the line as it was, and the words below
        assert np.asarray(drawn)[:48, :320].tolist() == np.asarray(canvas).tolist()


def test_parts_of_a_model_and_further_inputs_take_images(tmp_path: Path) -> None:
    images = [DIGITS / f"digit_{n}.png" for n in (3, 5, 8)]
    path = save(small_cnn(), tmp_path / "cut.onnx")
    make_sequence(path, tmp_path / "parts", ["r1", "r3"])
    said = ("std=255", "softmax")
    samples, summary = found(tmp_path / "parts", *images, said=said)
    wanted, whole = found(path, *images, said=said)
    assert [sample.name for sample in samples] == [image.name for image in images]
    np.testing.assert_allclose(summary.arrays["scores"], whole.arrays["scores"], atol=1e-4)
    for one, other in zip(samples, wanted, strict=True):
        assert one.findings[0].classes[0].index == other.findings[0].classes[0].index
    # Another input from an .npz: one value for all, or one for each image.
    path = save(
        model(
            [
                helper.make_node("Mul", ["image", "gain"], ["y"]),
                helper.make_node("ReduceMean", ["y"], ["mean"], axes=[1, 2, 3], keepdims=0),
            ],
            {"image": (1, 1, 8, 8), "gain": (1, 1, 1, 1)},
            {"mean": (1,)},
            [],
            opset=13,
        ),
        tmp_path / "two.onnx",
    )
    means = [
        np.asarray(Image.open(image).convert("L").resize((8, 8), BILINEAR)).mean()
        for image in images
    ]
    for gains in ([2.0], [1.0, 2.0, 3.0]):
        values = np.asarray(gains, np.float32).reshape(-1, 1, 1, 1)
        np.savez(tmp_path / "gain.npz", gain=values)
        _, told = found(path, *images, tmp_path / "gain.npz", said=("input=image,colour=gray", ""))
        scaled = [mean * gain for mean, gain in zip(means, (gains * 3)[:3], strict=True)]
        assert told.arrays["mean"] == pytest.approx(scaled, rel=1e-4)
    np.savez(tmp_path / "gain.npz", gain=np.ones((2, 1, 1, 1), np.float32))
    with pytest.raises(UsageError, match="different numbers of samples"):
        found(path, *images, tmp_path / "gain.npz", said=("input=image,colour=gray", ""))
    with pytest.raises(UsageError, match="no array for the input 'gain'"):
        found(path, *images, said=("input=image,colour=gray", ""))


def test_masks_are_shares_of_the_image(models: Path, tmp_path: Path) -> None:
    import onnxruntime

    (sample,), summary = found(
        *(models / "segmenter.onnx", SEGMENTED),
        said=("std=255", MASKS),
        show_folder=tmp_path / "shown",
    )
    session = onnxruntime.InferenceSession(
        str(models / "segmenter.onnx"), providers=["CPUExecutionProvider"]
    )
    image = np.asarray(Image.open(SEGMENTED).convert("RGB"))
    pixels = image.astype(np.float32).transpose(2, 0, 1)[None] / 255
    classes = session.run(["classes"], {"image": pixels})[0][0].argmax(axis=0)
    (finding,) = sample.findings
    names = ["ground", *SHAPES.split("|")]
    assert {share.label: share.pixels for share in finding.shares} == {
        names[index]: int((classes == index).sum()) for index in np.unique(classes)
    }
    assert sum(share.share for share in finding.shares) == pytest.approx(1.0)
    (path,) = summary.drawn
    with Image.open(path) as drawn:
        shown = np.asarray(drawn)[1::3, 1::3]  # three times as large
    places = np.argwhere(classes == 3)
    row, column = places[len(places) // 2]
    mixed = image[row, column] * 0.45 + np.asarray(colour_of(3)) * 0.55
    assert shown[row, column] == pytest.approx(mixed, abs=1)
    assert tuple(shown[-1, 0]) == tuple(image[-1, 0])  # the ground is left as it is


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Four images that can be read, one of them black, and three that cannot."""
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/a.png"):
        (place / name).write_bytes(DETECTED.read_bytes())
    Image.new("RGB", (200, 120)).save(place / "dark.png")
    (place / "broken.jpg").write_text("this is text")
    (place / "cut.png").write_bytes(DETECTED.read_bytes()[:3000])
    (place / "empty.png").touch()
    yield place


def test_a_folder_goes_on_where_files_are_broken(models: Path, folder: Path) -> None:
    shown = folder / "shown"
    words = ("run", models / "detector.onnx", "-i", folder, "--preprocess", "std=255")
    words = (*words, "--postprocess", BOXES, "--show-dir", shown, "-d", "local:")
    printed = deployx(*words)
    assert "3 of 7 could not be read" in printed.stdout
    for name in ("broken.jpg", "cut.png", "empty.png"):
        assert f"  {name}: " in printed.stdout
    assert "1 image is black throughout: dark.png" in printed.stdout
    # One session and one load for all of them.
    assert printed.stderr.count("Connecting to") == 1
    assert printed.stderr.count("Loading detector") == 1
    names = sorted(path.name for path in shown.iterdir())
    assert names == ["a-2.png", "a.png", "b.png", "dark.png"]
    # Again: what was drawn is no image of the folder, and is drawn anew.
    document = json.loads(deployx(*words, "--json").stdout)
    assert sorted(path.name for path in shown.iterdir()) == names
    assert [sample["name"] for sample in document["samples"]] == [
        *("a.png", "b.png", "dark.png", "more/a.png")
    ]
    check_document(document)
    assert {entry["name"] for entry in document["skipped"]} == {
        *("broken.jpg", "cut.png", "empty.png")
    }
    assert document["samples"][0]["drawn"] == str(shown / "a.png")
    assert document["samples"][3]["drawn"] == str(shown / "a-2.png")
    assert document["samples"][2]["notes"] == ["is black throughout"]


def check_document(document: dict) -> None:
    """Its keys, their types and their units."""
    assert document["kind"] == "outputs"
    assert set(document["units"]) == {"boxes", "score", "share", "milliseconds"}
    for sample in document["samples"]:
        assert set(sample) == {
            *("name", "file", "frame", "width", "height", "milliseconds", "drawn", "notes"),
            *("classes", "boxes", "masks", "texts", "text_boxes", "outputs"),
        }
        assert sample["milliseconds"] > 0
        for box in sample["boxes"]:
            assert set(box) == {
                *("output", "index", "label", "score", "x0", "y0", "x1", "y1", "points")
            }
            assert 0 <= box["x0"] < box["x1"] <= sample["width"]
            assert 0 <= box["y0"] < box["y1"] <= sample["height"]
            assert 0 <= box["score"] <= 1


def test_a_classification_shows_its_labels_here_and_on_a_board(tmp_path: Path) -> None:
    model, image = DIGITS / "digits_cnn.onnx", DIGITS / "digit_3.png"
    for device in (None, "local:"):
        (sample,), summary = found(model, image, device=device, show_folder=tmp_path / "shown")
        best = sample.findings[0].classes[0]
        assert best.label == "3" and best.score > 0.9
        assert summary.arrays["scores"].shape == (1, 10)
        assert not summary.emulated
    # Several samples of an .npz, each with its scores; nothing to draw on.
    samples, summary = found(
        model, DIGITS / "digits_test.npz", show_folder=tmp_path / "none", device="local:"
    )
    with np.load(DIGITS / "digits_test.npz") as file:
        count = len(file["image"])
    assert len(samples) == count and summary.arrays["scores"].shape == (count, 10)
    assert summary.notes == (
        "an .npz file holds no image to draw on, so its results are only printed",
    )
    assert summary.drawn == () and not list((tmp_path / "none").iterdir())
    best_of = summary.arrays["scores"].argmax(axis=1)
    assert [sample.findings[0].classes[0].index for sample in samples] == best_of.tolist()


def test_times_of_an_emulated_board_are_marked() -> None:
    (sample,), summary = found(
        DIGITS / "digits_cnn.onnx", DIGITS / "digit_3.png", device="virtual:linux-arm64"
    )
    assert sample.findings[0].classes[0].label == "3" and sample.compute_ns > 0
    assert summary.emulated


def test_a_video_is_run_and_drawn_frame_by_frame(models: Path, clip: Path, tmp_path: Path) -> None:
    said = ("std=255", BOXES)
    samples, summary = found(
        models / "detector.onnx", clip, said=said, every=4, show_folder=tmp_path
    )
    assert [sample.frame for sample in samples] == list(range(0, 30, 4))
    assert summary.drawn == (tmp_path / "clip.mp4",)
    assert summary.arrays == {}  # memory does not grow with the video
    assert all(sample.drawn == tmp_path / "clip.mp4" for sample in samples)
    (still,), _ = found(models / "detector.onnx", DETECTED, said=said)
    wanted = still.findings[0].boxes[0]
    box = samples[0].findings[0].boxes[0]
    assert box.label == wanted.label and corners(box) == pytest.approx(corners(wanted), abs=2)
    capture = cv2.VideoCapture(str(tmp_path / "clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(2.5)
    there, frame = capture.read()
    assert there and frame.shape == (256, 256, 3)
    drawn = frame[:, :, ::-1][int((box.y0 + box.y1) / 2 * 2), int(box.x0 * 2)]
    assert np.abs(drawn.astype(int) - colour_of(box.index)).max() < 60  # lossy, but that colour


def test_a_video_without_opencv_is_one_sentence(models: Path, clip: Path) -> None:
    words = ("run", models / "detector.onnx", "-i", clip, "--preprocess", "std=255")
    told = deployx(*words, code=MissingToolError.exit_code, without="cv2").stderr
    assert told.startswith("error: ") and told.count("\n") == 1
    assert "OpenCV's wheel" in told and "pip install opencv-python-headless" in told


def test_an_opencv_that_does_not_load_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the wheel with windows does on a computer without a screen's libraries."""
    reason = "libGL.so.1: cannot open shared object file"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2")
    with pytest.raises(MissingToolError, match=r"clip\.mp4 is a video, .* cannot be loaded: libGL"):
        VideoReader(tmp_path / "clip.mp4", 1)


def test_no_file_is_overwritten_that_no_run_drew(tmp_path: Path) -> None:
    model = DIGITS / "digits_cnn.onnx"
    photo = tmp_path / "digit.png"
    photo.write_bytes((DIGITS / "digit_3.png").read_bytes())
    (tmp_path / "digit-2.png").write_bytes((DIGITS / "digit_5.png").read_bytes())
    (tmp_path / "other.png").write_text("mine")
    other = tmp_path / "elsewhere" / "other.png"
    other.parent.mkdir()
    other.write_bytes(photo.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.glob("*.png")}
    for _ in range(2):
        _, summary = found(model, photo, other, show_folder=tmp_path)
        assert summary.drawn == (tmp_path / "digit-3.png", tmp_path / "other-2.png")
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_files_by_name_are_all_run_before_a_broken_one_is_the_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("text")
    words = ("run", DIGITS / "digits_cnn.onnx", "-i", broken, "-i", DIGITS / "digit_3.png")
    done = deployx(*words, code=2)
    assert "1 (3)" in done.stdout and "1 of 2 could not be read" in done.stdout
    assert "1 of the files named could not be read" in done.stderr
    with pytest.raises(UsageError, match="cannot be read as an image"):
        found(DIGITS / "digits_cnn.onnx", broken)


def test_what_was_found_before_an_error_is_printed(tmp_path: Path) -> None:
    path = save(
        model(
            [
                helper.make_node("Mul", ["image", "image"], ["square"]),
                helper.make_node("Squeeze", ["square", "axis"], ["classes"]),
            ],
            {"image": (1, 1, 4, 4)},
            {"classes": (1, 4, 4)},
            [constant("axis", np.asarray([1]))],
        ),
        tmp_path / "squares.onnx",
    )
    for name, gray in (("a", 2), ("b", 100)):
        Image.new("L", (4, 4), gray).save(tmp_path / f"{name}.png")
    words = ("run", path, "-i", tmp_path / "a.png", "-i", tmp_path / "b.png")
    done = deployx(*words, "--preprocess", "colour=gray", "--postprocess", "segmentation", code=2)
    assert "a.png" in done.stdout and "100.0%" in done.stdout and "b.png" not in done.stdout
    assert "something else than classes 0 to 255" in done.stderr


def test_what_cannot_be_run_or_drawn_is_said_before(
    models: Path, clip: Path, tmp_path: Path
) -> None:
    digits, image = DIGITS / "digits_cnn.onnx", DIGITS / "digit_3.png"
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    own = tmp_path / "own"
    own.mkdir()
    (own / "digit.png").write_bytes(image.read_bytes())
    refused = [
        ((digits, tmp_path / "empty"), {}, "holds no images"),
        ((digits, tmp_path / "nothing.png"), {}, "does not exist"),
        ((digits, tmp_path / "nothing.mp4"), {}, "video .* does not exist"),
        ((digits, image), {"show_folder": tmp_path / "file"}, "is a file, not a folder"),
        ((digits, image), {"show_folder": tmp_path / "file" / "in"}, "cannot be written"),
        ((digits, own), {"show_folder": own}, "is the folder of the images themselves"),
        ((models / "detector.onnx", DETECTED), {}, "nothing says how an image becomes"),
        (
            (models / "detector.onnx", DETECTED),
            {"said": ("std=255", ""), "show_folder": tmp_path / "s"},
            "nothing says what the model's outputs mean",
        ),
        ((digits, clip), {"keep": True}, "is a video"),
        ((digits, image), {"every": 2}, "--every is for videos"),
    ]
    for paths, more, words in refused:
        with pytest.raises(UsageError, match=words):
            found(*paths, **more)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:4000])
    with pytest.raises(UsageError, match="cannot be read as a video"):
        found(digits, cut)
