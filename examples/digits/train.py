"""Train the digits example: a small CNN on scikit-learn's handwritten digits, exported to ONNX.

Needs torch, scikit-learn, onnx and pillow; torch is needed for nothing else in this project:

    pip install torch==2.13.0 scikit-learn onnx==1.19.1 pillow
    python examples/digits/train.py

It writes ``digits_cnn.onnx``, ``digits_test.npz``, ``digits_calibration.npz`` (images that it was
trained on, for int8) and ``digit_*.png`` beside itself and prints the accuracy on the held-out
images. The seed is fixed; it takes under a minute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 20261121
EPOCHS = 60
HELD_OUT = 450  # the last ones, in the data set's own order
CALIBRATION = 128  # of the others, the first
PICTURE_SCALE = 16  # the test images are 128 x 128, so that people can see them


class DigitsCnn(nn.Module):
    """Image (N, 1, 8, 8) in 0 … 1 to ten scores (N, 10), not yet probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),  # depthwise
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(32 * 4 * 4, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (N, 10) of images (N, 1, 8, 8)."""
        return self.classifier(torch.flatten(self.features(image), 1))


def train(images: torch.Tensor, labels: torch.Tensor) -> DigitsCnn:
    """The trained network, in evaluation mode."""
    network = DigitsCnn()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def export(network: DigitsCnn, path: Path) -> None:
    """Write the ONNX file; what the model expects of an image travels in its metadata."""
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 8, 8),),
        str(path),
        input_names=["image"],
        output_names=["scores"],
        opset_version=13,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # else batch norm is folded away
        do_constant_folding=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model,
        {
            "deployx-edge.preprocess": "resize=8x8,mode=area,colour=gray,mean=0,std=255",
            "deployx-edge.postprocess": "softmax,labels=0|1|2|3|4|5|6|7|8|9",
        },
    )
    model.graph.name = "digits_cnn"
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def save_test_images(images: np.ndarray, labels: np.ndarray) -> None:
    """The held-out images as arrays, and the first of each of three classes as an image."""
    np.savez_compressed(HERE / "digits_test.npz", image=images, labels=labels)
    for digit in (3, 5, 8):
        first = images[np.flatnonzero(labels == digit)[0], 0]
        pixels = np.rint(first * 255).astype(np.uint8)
        large = np.kron(pixels, np.ones((PICTURE_SCALE, PICTURE_SCALE), dtype=np.uint8))
        Image.fromarray(large).save(HERE / f"digit_{digit}.png", optimize=True)


def main() -> None:
    """Train, export, and say how good it is."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # the same sums in the same order on every computer
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    test_images, test_labels = images[-HELD_OUT:], digits.target[-HELD_OUT:]
    network = train(
        torch.from_numpy(images[:-HELD_OUT]), torch.from_numpy(digits.target[:-HELD_OUT])
    )
    with torch.no_grad():
        right = network(torch.from_numpy(test_images)).argmax(1).numpy() == test_labels
    print(f"{right.sum()} of {len(right)} held-out images right: {right.mean():.4f}")
    export(network, HERE / "digits_cnn.onnx")
    save_test_images(test_images, test_labels)
    np.savez_compressed(HERE / "digits_calibration.npz", image=images[:CALIBRATION])


if __name__ == "__main__":
    main()
