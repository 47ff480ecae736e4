"""Networks of the matrix that none of its libraries has, each as short as it can be told."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Recurrent(nn.Module):
    """A recurrent layer behind features of shape (1, channels, 1, time), and scores a step."""

    def __init__(self, features: nn.Module, recurrent: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.features, self.recurrent = features, recurrent
        self.scores = nn.Linear(width, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        steps = self.features(image).squeeze(2).permute(2, 0, 1)
        return self.scores(self.recurrent(steps)[0])


def _text_features(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Convolutions that take a line of text of height 32 to a height of 1."""
    layers: list[nn.Module] = []
    for index, width in enumerate(widths):
        stride = (2, 2) if index < 2 else (2, 1)
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(stride, stride)]
        channels = width
    return nn.Sequential(*layers)


def crnn() -> nn.Module:
    """Shi, Bai, Yao: An End-to-End Trainable Neural Network for Scene Text Recognition."""
    features = _text_features(1, (16, 32, 64, 64, 64))
    recurrent = nn.LSTM(64, 32, num_layers=2, bidirectional=True)
    return Recurrent(features, recurrent, 64, 37)


def crnn_gru() -> nn.Module:
    """The same with gated recurrent units."""
    features = _text_features(3, (16, 32, 48, 48, 48))
    return Recurrent(features, nn.GRU(48, 24, bidirectional=True), 48, 37)


def rosetta() -> nn.Module:
    """Borisyuk et al.: Rosetta, convolutions alone with scores a step."""
    return nn.Sequential(
        OrderedDict(features=_text_features(3, (16, 32, 64, 64, 96)), scores=nn.Conv2d(96, 37, 1))
    )


class Upscaled(nn.Module):
    """An image, enlarged by a fixed interpolation, and a network that adds what is missing."""

    def __init__(self, mode: str, body: nn.Module, *, before: bool) -> None:
        super().__init__()
        self.mode, self.body, self.before = mode, body, before

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        large = functional.interpolate(image, scale_factor=2, mode=self.mode, align_corners=False)
        return large + self.body(large if self.before else image)


def _chain(*channels: int, kernel: int = 3) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(channels):
        layers += [nn.Conv2d(inner, outer, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def srcnn_bicubic() -> nn.Module:
    """Dong et al.: Image Super-Resolution Using Deep Convolutional Networks."""
    return Upscaled("bicubic", _chain(3, 32, 16, 3, kernel=5), before=True)


def vdsr_bilinear() -> nn.Module:
    """Kim et al.: Accurate Image Super-Resolution Using Very Deep Convolutional Networks."""
    return Upscaled("bilinear", _chain(1, *[32] * 8, 1), before=True)


def espcn() -> nn.Module:
    """Shi et al.: Real-Time Single Image and Video Super-Resolution, by sub-pixels."""
    layers = [nn.Conv2d(1, 32, 5, padding=2), nn.Tanh(), nn.Conv2d(32, 16, 3, padding=1)]
    return nn.Sequential(*layers, nn.Tanh(), nn.Conv2d(16, 9, 3, padding=1), nn.PixelShuffle(3))


def fsrcnn() -> nn.Module:
    """Dong et al.: Accelerating the Super-Resolution Convolutional Neural Network."""
    layers: list[nn.Module] = [nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56)]
    for inner, outer, kernel in ((56, 12, 1), (12, 12, 3), (12, 12, 3), (12, 56, 1)):
        layers += [nn.Conv2d(inner, outer, kernel, padding=kernel // 2), nn.PReLU(outer)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(56, 1, 9, 3, padding=4, output_padding=2))


class Residual(nn.Module):
    """What the body gives, scaled, added to what it gets."""

    def __init__(self, body: nn.Module, share: float = 1.0) -> None:
        super().__init__()
        self.body, self.share = body, share

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.share * self.body(image)


def edsr_bicubic() -> nn.Module:
    """Lim et al.: Enhanced Deep Residual Networks, beside an image enlarged by cubics."""
    blocks = [Residual(_chain(32, 32, 32), 0.1) for _ in range(4)]
    head, tail = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 12, 3, padding=1)
    return Upscaled("bicubic", nn.Sequential(head, *blocks, tail, nn.PixelShuffle(2)), before=False)


class Distilled(nn.Module):
    """A block that keeps a part of its channels at every step, and weighs what it has kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kept = nn.ModuleList(nn.Conv2d(width, width // 2, 1) for _ in range(2))
        self.going = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.joined = nn.Conv2d(width * 2, width, 1)
        self.weights = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        parts, going = [], image
        for kept, step in zip(self.kept, self.going, strict=True):
            parts.append(functional.leaky_relu(kept(going), 0.05))
            going = functional.leaky_relu(step(going) + going, 0.05)
        joined = self.joined(torch.cat([*parts, going], 1))
        small = functional.max_pool2d(self.weights(joined), 7, 3)
        weights = functional.interpolate(small, joined.shape[2:], mode="bilinear")
        return image + joined * torch.sigmoid(weights)


def rfdn_bilinear() -> nn.Module:
    """Liu, Tang, Wu: Residual Feature Distillation Network; attention is enlarged bilinearly."""
    head, tail = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 12, 3, padding=1)
    return nn.Sequential(head, Distilled(24), Distilled(24), tail, nn.PixelShuffle(2))


class Recognizer(nn.Module):
    """A recurrent layer over frames, and scores from its last step or from each."""

    def __init__(self, recurrent: nn.Module, width: int, classes: int, *, last: bool) -> None:
        super().__init__()
        self.recurrent, self.last = recurrent, last
        self.scores = nn.Linear(width, classes)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        steps = self.recurrent(frames)[0]
        return self.scores(steps[:, -1] if self.last else steps)


def keyword_lstm() -> nn.Module:
    """Keywords from spectral features by two LSTMs."""
    return Recognizer(nn.LSTM(40, 48, num_layers=2, batch_first=True), 48, 12, last=True)


def denoiser_gru() -> nn.Module:
    """A mask for a noisy spectrum, as DTLN and RNNoise make it."""
    recognizer = Recognizer(nn.GRU(65, 64, batch_first=True), 64, 65, last=False)
    return nn.Sequential(recognizer, nn.Sigmoid())


class Gated(nn.Module):
    """Dilated causal convolution with a gate."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.reach = dilation
        self.both = nn.Conv1d(width, 2 * width, 2, dilation=dilation)
        self.mixed = nn.Conv1d(width, width, 1)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        value, gate = self.both(functional.pad(audio, (self.reach, 0))).chunk(2, 1)
        return audio + self.mixed(torch.tanh(value) * torch.sigmoid(gate))


def wavenet() -> nn.Module:
    """van den Oord et al.: WaveNet, a few of its layers."""
    blocks = [Gated(24, 2**index) for index in range(5)]
    return nn.Sequential(nn.Conv1d(1, 24, 1), *blocks, nn.ReLU(), nn.Conv1d(24, 16, 1))
