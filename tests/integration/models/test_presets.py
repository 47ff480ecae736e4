"""Presets on trained files of packages: what they find is what the package itself finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deployx_edge.bundle import Bundle, load_bundle
from deployx_edge.model import PostProcessing, PreProcessing, parse_inputs
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.preprocessing import input_from_image
from deployx_edge.processing.results import Detections, Interpretation, TextBoxes, TextLine
from deployx_edge.processing.steps import parse_postprocessing, parse_preprocessing
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.test_trained_models import packaged

DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits" / "digits_cnn.onnx"
DETECTOR = packaged("nudenet", "320n.onnx")
OCR = packaged("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx").parent
LINES = ("Deployment to the edge", "Board 42: 3.14 ms", "no trace is left", "ncnn beside ONNX")


def deployx(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployx_edge", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def like(family: str, path: Path, folder: Path, **options: tuple[str, ...]) -> Bundle:
    wanted = BundleOptions(like=family, runtime="onnxruntime", verify=False, **options)
    return make_bundle(path, folder, wanted)


def found_in(
    image: np.ndarray, path: Path, bundle: Bundle, pre: PreProcessing, post: PostProcessing
) -> Interpretation:
    """What the source says of an image (height, width, RGB), by the bundle's processing."""
    loaded = input_from_image(Image.fromarray(image), pre)
    requests = parse_inputs([f"{pre.input}:{'x'.join(map(str, loaded.array.shape))}"])
    outputs = Reference(read_onnx(path, requests)).run({pre.input: loaded.array})
    return interpret(post, outputs, loaded.geometry)


def test_what_is_proposed_is_shown_and_kept(tmp_path: Path) -> None:
    done = deployx("convert", DIGITS, "-o", tmp_path / "b", "--like", "classification")
    assert done.returncode == 0, done.stderr
    told = [line.strip() for line in done.stderr.splitlines() if "Like classification" in line]
    assert [line.split(": ", 1)[1].split()[0] for line in told] == ["--preprocess", "--postprocess"]
    bundle = load_bundle(tmp_path / "b")
    texts = [line.split(" ")[-1].strip("'") for line in told]
    assert parse_preprocessing(texts[0], bundle.inputs) == bundle.preprocessing[0]
    assert parse_postprocessing(texts[1], bundle.outputs) == bundle.postprocessing[0]
    assert bundle.preprocessing[0].scale == 1 / 255
    assert "Pre- and post-processing are like classification." in bundle.provenance.notes


def test_what_is_said_wins_over_the_preset(tmp_path: Path) -> None:
    made = make_bundle(
        DIGITS, tmp_path / "b", BundleOptions(like="classification", preprocess=("std=16",))
    )
    assert made.preprocessing[0].std == (16.0,)
    assert made.preprocessing[0].scale == 1.0
    assert made.postprocessing[0].softmax


def test_one_that_does_not_fit_says_why() -> None:
    done = deployx("convert", DIGITS, "-o", "/nonexistent/b", "--like", "yolov8")
    assert done.returncode == 2
    assert "The model is not like yolov8: the input 'image' is 1x1x8x8" in " ".join(
        done.stderr.split()
    )
    done = deployx("convert", DIGITS, "-o", "/nonexistent/b", "--like", "yolo8")
    assert done.returncode == 2
    assert "Did you mean yolov8?" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("push-and-bench", DIGITS, "--device", "local:"),
        ("evaluate", DIGITS, "--dataset", DIGITS.with_name("digits_test.npz")),
        ("quantize", DIGITS, "--calibration", DIGITS.with_name("digits_calibration.npz"),
         "-o", "/nonexistent/b"),
    ],
)  # fmt: skip
def test_every_command_says_so(words: tuple[object, ...]) -> None:
    done = deployx(*words, "--like", "centerface")
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert "The model is not like centerface: the input 'image' is 1x1x8x8" in told


def test_inspect_names_the_families_that_fit() -> None:
    done = deployx("inspect", DETECTOR, "--json")
    assert done.returncode == 0, done.stderr
    assert "By the metadata's imgsz: --input images:1x3x320x320" in done.stderr
    presets = json.loads(done.stdout)["presets"]
    assert [name for name, against in presets.items() if not against] == ["yolov8"]
    assert "'output0' is 1x22x2100" in presets["yolox"]


def photos() -> list[np.ndarray]:
    """Real photos of several proportions."""
    astronaut = data.astronaut()
    return [astronaut, astronaut[20:500, 60:400], astronaut[0:300], astronaut[40:340, 100:330]]


def test_a_detector_finds_its_own_package_s_boxes(tmp_path: Path) -> None:
    """YOLOv8 as nudenet takes it: black in the corner, its colours swapped, one suppression."""
    import nudenet

    bundle = like("yolov8", DETECTOR, tmp_path / "b")
    assert bundle.inputs[0].shape == (1, 3, 320, 320), "by the metadata's imgsz"
    (proposed,) = bundle.postprocessing
    assert len(proposed.labels) == 18
    pre = parse_preprocessing(
        "fit=letterbox,place=corner,fill=0,mode=opencv-bilinear,colour=bgr,scale=1/255",
        bundle.inputs,
    )
    post = parse_postprocessing(
        "detection,format=yolo,best,agnostic,score=0.25,iou=0.45,most=300,labels="
        + "|".join(proposed.labels),
        bundle.outputs,
    )
    detector = nudenet.NudeDetector()
    total = 0
    for photo in photos():
        wanted = detector.detect(np.ascontiguousarray(photo[:, :, ::-1]))
        found = found_in(photo, DETECTOR, bundle, pre, post)
        assert isinstance(found, Detections)
        assert len(found) == len(wanted)
        total += len(wanted)
        for box, score, index, right in zip(
            found.boxes, found.scores, found.classes, wanted, strict=True
        ):
            assert post.labels[index] == right["class"]
            assert score == pytest.approx(right["score"], abs=0.02)
            left, top, width, height = right["box"]
            # Whole pixels there, cut off; ours are resized a level of 255 apart.
            assert box == pytest.approx([left, top, left + width, top + height], abs=3)
    assert total >= 4, "nothing was found, so nothing is shown"


# What Ultralytics 8.4.190 finds with `YOLO("320n.onnx", task="detect").predict(image, imgsz=320,
# rect=False)`: corners, score and class. It was tried with OpenCV 5.0 and ONNX Runtime 1.31.1.
ULTRALYTICS = {
    "square": ((173.244, 82.824, 274.025, 180.161, 0.81055, "FACE_FEMALE"),),
    "tall": ((116.761, 57.736, 211.455, 162.977, 0.83675, "FACE_FEMALE"),),
    "wide": ((173.201, 85.319, 274.531, 179.760, 0.81225, "FACE_FEMALE"),),
    "odd": (
        (168.689, 75.657, 265.392, 179.820, 0.80133, "FACE_FEMALE"),
        (114.623, 305.428, 219.973, 400.985, 0.39070, "FEMALE_BREAST_COVERED"),
    ),
    "thin": ((37.075, 75.878, 131.529, 182.735, 0.82586, "FACE_FEMALE"),),
    "tiny": ((29.015, 55.211, 121.951, 161.957, 0.84764, "FACE_FEMALE"),),
    "two": (
        (749.539, 82.371, 848.940, 178.538, 0.68454, "FACE_FEMALE"),
        (171.126, 83.466, 270.910, 178.185, 0.46581, "FACE_FEMALE"),
    ),
    "large": ((336.468, 247.767, 552.792, 541.290, 0.75763, "FACE_FEMALE"),),
}


def images() -> dict[str, np.ndarray]:
    """A photo and parts of it, of many proportions: enlarged, shrunk and padded on all sides."""
    photo = data.astronaut()
    return {
        "square": photo,
        "tall": photo[20:500, 60:400],
        "wide": photo[0:300],
        "odd": photo[3:404, 7:310],
        "thin": photo[:, 140:330],
        "tiny": photo[20:220, 150:320],
        "two": np.concatenate([photo, photo[:, ::-1]], axis=1),
        "large": photo.repeat(3, axis=0).repeat(2, axis=1),
    }


def test_boxes_are_ultralytics_own(tmp_path: Path) -> None:
    """As its package finds them on the same images, to a hundredth of a pixel, and drawn there."""
    (folder := tmp_path / "photos").mkdir()
    for name, pixels in images().items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    drawn = tmp_path / "drawn"
    square = ("-i", "images:1x3x320x320")  # as with rect=False; the file leaves its sides open
    done = deployx(
        *("run", DETECTOR, "-i", folder, *square),
        *("--like", "yolov8", "--json", "--show-dir", drawn),
    )
    assert done.returncode == 0, done.stderr
    found = {Path(each["name"]).stem: each["boxes"] for each in json.loads(done.stdout)["samples"]}
    assert found.keys() == ULTRALYTICS.keys()
    for name, wanted in ULTRALYTICS.items():
        assert [box["label"] for box in found[name]] == [right[-1] for right in wanted]
        for box, (*corners, score, _) in zip(found[name], wanted, strict=True):
            assert [box[key] for key in ("x0", "y0", "x1", "y1")] == pytest.approx(
                corners, abs=0.01
            )
            assert box["score"] == pytest.approx(score, abs=1e-4)
    with Image.open(drawn / "square.png") as image:
        changed = (np.asarray(image) != images()["square"]).any(axis=2)
    x0, y0, x1, y1 = (round(corner) for corner in ULTRALYTICS["square"][0][:4])
    for edge in (x0, x1):
        assert changed[y0:y1, edge - 3 : edge + 4].any(axis=1).mean() > 0.9


# The same with Ultralytics' own defaults (no ``rect=False``): corners and score, in its order.
ON_RECTANGLES = {
    "square": [(173.24, 82.82, 274.03, 180.16, 0.81)],
    "tall": [(116.16, 57.74, 211.84, 163.09, 0.84)],
    "wide": [(173.31, 85.22, 273.58, 180.24, 0.82)],
    "odd": [(169.19, 76.37, 264.31, 178.75, 0.8), (115.89, 307.47, 219.11, 400.98, 0.41)],
    "thin": [(37.04, 77.23, 132.17, 182.11, 0.82)],
    "tiny": [(28.74, 56.85, 122.08, 160.11, 0.84)],
    "two": [
        (748.15, 81.96, 850.2, 178.86, 0.55),
        (170.87, 81.82, 271.32, 178.79, 0.35),
        (172.35, 81.22, 271.37, 179.19, 0.32),
    ],
    "large": [(338.76, 247.29, 553.01, 543.32, 0.75)],
}


def test_boxes_on_rectangles_are_ultralytics_own(tmp_path: Path) -> None:
    """The file leaves its sides open: images are filled to whole strides, not to a square."""
    for name, pixels in images().items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    done = deployx("run", DETECTOR, "-i", tmp_path, "--like", "yolov8", "--json")
    assert done.returncode == 0, done.stderr
    for sample in json.loads(done.stdout)["samples"]:
        rows = [[box[key] for key in ("x0", "y0", "x1", "y1", "score")] for box in sample["boxes"]]
        wanted = ON_RECTANGLES[Path(sample["name"]).stem]
        assert np.asarray(rows) == pytest.approx(np.asarray(wanted), abs=0.02)


def page(width: int, height: int, *, angle: float = 0.0) -> np.ndarray:
    """A page with lines of text, black on white, turned about its middle by an angle."""
    canvas = Image.new("RGB", (width, height), "white")
    font = ImageFont.load_default(size=34)
    for place, text in enumerate(LINES):
        ImageDraw.Draw(canvas).text((60, 80 + 140 * place), text, fill="black", font=font)
    return np.asarray(canvas.rotate(angle, fillcolor="white", resample=Image.Resampling.BICUBIC))


def needs_text_packages() -> None:
    for name in ("pyclipper", "shapely"):
        pytest.importorskip(name, reason=f"rapidocr_onnxruntime finds text with {name}")


def test_text_is_found_where_its_own_package_finds_it(tmp_path: Path) -> None:
    needs_text_packages()
    from rapidocr_onnxruntime import RapidOCR

    path = OCR / "ch_PP-OCRv4_det_infer.onnx"
    open_sides = ("x:1x3x{32..736..2048}x{32..736..2048}",)
    bundle = like("pp-ocr-det", path, tmp_path / "b", input_shapes=open_sides)
    (pre,), (post,) = bundle.preprocessing, bundle.postprocessing
    assert (pre.fit, pre.side, pre.multiple) == ("multiple", 736, 32)
    finder = RapidOCR()
    for image in (page(736, 736), page(960, 704), page(800, 900, angle=6.0)):
        found = found_in(image, path, bundle, pre, post)
        assert isinstance(found, TextBoxes)
        wanted, _ = finder.auto_text_det(np.ascontiguousarray(image[:, :, ::-1]))
        assert len(found) == len(wanted) >= len(LINES)
        limits = [image.shape[1] - 1, image.shape[0] - 1]
        for box, right in zip(found.boxes, wanted, strict=True):
            # Whole pixels there; the image is resized a level of 255 apart.
            assert np.minimum(np.rint(box.corners), limits) == pytest.approx(right, abs=1)


def test_text_is_read_as_its_own_package_reads_it(tmp_path: Path) -> None:
    needs_text_packages()
    from rapidocr_onnxruntime import RapidOCR

    path = OCR / "ch_PP-OCRv4_rec_infer.onnx"
    bundle = like("pp-ocr-rec", path, tmp_path / "b", input_shapes=("x:1x3x48x480",))
    (pre,), (post,) = bundle.preprocessing, bundle.postprocessing
    assert len(post.labels) == 6624
    reader = RapidOCR().text_rec
    reader.rec_image_shape = [3, 48, 480]
    image = page(736, 736)
    for place, text in enumerate(LINES):
        line = image[70 + 140 * place : 130 + 140 * place, 50:470]
        found = found_in(line, path, bundle, pre, post)
        assert isinstance(found, TextLine)
        ((wanted, score),) = reader(np.ascontiguousarray(line[:, :, ::-1]))[0]
        assert found.text == wanted
        assert found.score == pytest.approx(score, abs=0.01)
        assert found.text.replace(" ", "") == text.replace(" ", "")


def test_run_finds_what_the_package_finds_and_says_how(tmp_path: Path) -> None:
    """On a square photo the letterbox is nothing; colours and overlap are changed as it is told."""
    import nudenet

    photo = data.astronaut()
    Image.fromarray(photo).save(tmp_path / "photo.png")
    words = ("run", DETECTOR, "-i", tmp_path / "photo.png", "--like", "yolov8", "--json")
    done = deployx(*words)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "Like yolov8: --" in line]
    assert [line.split("Like yolov8: ")[1].split()[0] for line in told] == [
        "--input", "--preprocess", "--postprocess",
    ]  # fmt: skip
    assert json.loads(done.stdout)["samples"][0]["boxes"]
    swapped = told[1].split("--preprocess ")[1].replace("rgb", "bgr").strip("'")
    across = told[2].split("--postprocess ")[1].replace("iou=0.7", "iou=0.45,agnostic").strip("'")
    done = deployx(*words, "--preprocess", swapped, "--postprocess", across, "--show-dir",
                   tmp_path / "drawn")  # fmt: skip
    assert "Like yolov8: --p" not in done.stderr, "what is said is not proposed"
    boxes = json.loads(done.stdout)["samples"][0]["boxes"]
    wanted = nudenet.NudeDetector().detect(np.ascontiguousarray(photo[:, :, ::-1]))
    assert [box["label"] for box in boxes] == [right["class"] for right in wanted]
    for box, right in zip(boxes, wanted, strict=True):
        left, top, width, height = right["box"]
        found = [box[key] for key in ("x0", "y0", "x1", "y1")]
        assert found == pytest.approx([left, top, left + width, top + height], abs=3)
        assert box["score"] == pytest.approx(right["score"], abs=0.02)
    assert (tmp_path / "drawn" / "photo.png").is_file()


def test_a_preset_wins_over_what_a_bundle_says(tmp_path: Path) -> None:
    made = make_bundle(DIGITS, tmp_path / "b", BundleOptions(verify=False))
    assert made.preprocessing[0].mode == "area"
    image = DIGITS.with_name("digit_5.png")
    words = ("run", tmp_path / "b", "-i", image, "--like", "classification", "--json")
    done = deployx(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Like classification: --") == 2
    assert "mode=area" not in done.stderr
    best = json.loads(done.stdout)["samples"][0]["classes"][0]
    assert best["label"] == "5"
    done = deployx("evaluate", tmp_path / "b", "--dataset", DIGITS.with_name("digits_test.npz"),
                   "--like", "yolox")  # fmt: skip
    assert done.returncode == 2
    assert "not like yolox: the input 'image' is 1x1x8x8" in " ".join(done.stderr.split())


def test_a_dictionary_s_characters_are_in_the_bundle(tmp_path: Path) -> None:
    path = OCR / "ch_PP-OCRv4_rec_infer.onnx"
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(chr(0x4E00 + index) for index in range(6623)))
    text = f"text,dictionary={keys}"
    bundle = like("pp-ocr-rec", path, tmp_path / "b", postprocess=(text,))
    keys.unlink()
    labels = load_bundle(bundle.folder).postprocessing[0].labels
    assert (len(labels), labels[0], labels[-1]) == (6624, "一", " ")
    keys.write_text("a\nb\n")
    done = deployx("convert", path, "-o", tmp_path / "c", "--like", "pp-ocr-rec",
                   "--postprocess", text)  # fmt: skip
    assert done.returncode == 2
    words = " ".join(done.stderr.split())
    assert "has 2 characters; the output 'softmax_11.tmp_0' is 1x40x6625" in words
