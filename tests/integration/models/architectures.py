"""The matrix of architectures: networks from public libraries, small, with random weights.

Data only: ``architecture_models`` builds them, ``architecture_runner`` converts them. A class of
``transformers`` is made from its configuration, a function of ``pytorchcv`` is called; networks
that no library has are in ``architecture_networks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

OWN = "tests.integration.models.architecture_networks"
FAMILIES = (
    "convolutional",
    "mobile",
    "transformer",
    "hybrid",
    "segmentation",
    "detection and pose",
    "super-resolution",
    "text recognition",
    "speech",
)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network: where it comes from, what it is made with, the inputs it is converted for.

    ``inputs`` are written as for ``--input``; ``source`` is ``package.module:name``.
    """

    name: str
    family: str
    source: str
    inputs: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """The package that must be installed for it."""
        return self.source.partition(".")[0].partition(":")[0]


def all_architectures() -> tuple[Architecture, ...]:
    """Every architecture; names are unique."""
    from tests.integration.models.architecture_transformers import transformer_architectures

    found = (*_pytorchcv(), *transformer_architectures(), *_own())
    assert len({entry.name for entry in found}) == len(found)
    return found


def find_architecture(name: str) -> Architecture:
    """The architecture of that name."""
    return next(entry for entry in all_architectures() if entry.name == name)


# By family and input's height and width: modules of pytorchcv with the networks taken of each.
_CONVOLUTIONAL = {
    224: "alexnet:alexnet vgg:bn_vgg11 bninception:bninception resnet:resnet18_wd2 "
    "resnext:resnext14_16x4d seresnet:seresnet10 cbamresnet:cbam_resnet18 "
    "densenet:densenet121 peleenet:peleenet dla:dla34 hrnet:hrnet_w18_small_v1 "
    "vovnet:vovnet27s regnet:regnetx002",
}
_MOBILE = {
    224: "squeezenet:squeezenet_v1_1 squeezenext:sqnxt23_w1 shufflenet:shufflenet_g1_wd2 "
    "shufflenet:shufflenet_g3_wd2 shufflenetv2:shufflenetv2_wd2 menet:menet108_8x1_g3 "
    "mobilenet:mobilenet_wd4 mobilenetv2:mobilenetv2_wd4 mobilenetv3:mobilenetv3_small_w7d20 "
    "mobilenetv3:mobilenetv3_large_w7d20 igcv3:igcv3_wd4 ghostnet:ghostnet mnasnet:mnasnet_small "
    "darts:darts proxylessnas:proxylessnas_cpu mixnet:mixnet_s efficientnet:efficientnet_b0 "
    "efficientnetedge:efficientnet_edge_small_b espnetv2:espnetv2_wd2 dicenet:dicenet_wd5 "
    "nasnet:nasnet_4a1056 channelnet:channelnet",
}
# With the size of the output fixed, as a board runs it.
_SEGMENTATION = (
    "deeplabv3:deeplabv3_resnetd50b_voc pspnet:pspnet_resnetd50b_voc "
    "icnet:icnet_resnetd50b_cityscapes sinet:sinet_cityscapes fastscnn:fastscnn_cityscapes "
    "lednet:lednet_cityscapes erfnet:erfnet_cityscapes espcnet:espcnet_cityscapes "
    "cgnet:cgnet_cityscapes dabnet:dabnet_cityscapes edanet:edanet_cityscapes "
    "enet:enet_cityscapes linknet:linknet_cityscapes segnet:segnet_cityscapes "
    "unet:unet_cityscapes contextnet:ctxnet_cityscapes danet:danet_resnetd50b_cityscapes "
    "fpenet:fpenet_cityscapes bisenet:bisenet_resnet18_celebamaskhq"
)
_DETECTION = {
    (128, 128): "centernet:centernet_resnet18_voc lffd:lffd20x5s320v2_widerface",
    (128, 96): "lwopenpose_cmupan:lwopenpose2d_mobilenet_cmupan_coco "
    "simplepose_coco:simplepose_resnet18_coco "
    "simpleposemobile_coco:simplepose_mobile_mobilenetv3_small_w1_coco",
}
# They would find the maxima of their heat maps in the model.
_WITH_MAPS = ("centernet", "simplepose")


def _pytorchcv() -> Iterator[Architecture]:
    for family, table in (("convolutional", _CONVOLUTIONAL), ("mobile", _MOBILE)):
        for size, words in table.items():
            yield from _zoo(family, words, (size, size), {})
    arguments = {"in_size": (128, 128), "fixed_size": True}
    yield from _zoo("segmentation", _SEGMENTATION, (128, 128), arguments)
    for sizes, words in _DETECTION.items():
        yield from _zoo("detection and pose", words, sizes, {"in_size": sizes})


def _zoo(
    family: str, words: str, sizes: tuple[int, int], arguments: Mapping[str, Any]
) -> Iterator[Architecture]:
    for word in words.split():
        module, _, function = word.partition(":")
        maps = {"return_heatmap": True} if module.startswith(_WITH_MAPS) else {}
        yield Architecture(
            name=function,
            family=family,
            source=f"pytorchcv.models.{module}:{function}",
            inputs=(f"image:1x3x{sizes[0]}x{sizes[1]}",),
            arguments={**arguments, **maps},
        )


# What no installed library has: name, family, inputs.
_NETWORKS = (
    ("crnn", "text recognition", ("image:1x1x32x128",)),
    ("crnn_gru", "text recognition", ("image:1x3x32x96",)),
    ("rosetta", "text recognition", ("image:1x3x32x128",)),
    ("srcnn_bicubic", "super-resolution", ("image:1x3x32x40",)),
    ("vdsr_bilinear", "super-resolution", ("image:1x1x32x40",)),
    ("espcn", "super-resolution", ("image:1x1x32x40",)),
    ("fsrcnn", "super-resolution", ("image:1x1x32x40",)),
    ("edsr_bicubic", "super-resolution", ("image:1x3x32x40",)),
    ("rfdn_bilinear", "super-resolution", ("image:1x3x32x40",)),
    ("keyword_lstm", "speech", ("features:1x49x40",)),
    ("denoiser_gru", "speech", ("spectrum:1x32x65",)),
    ("wavenet", "speech", ("audio:1x1x400",)),
)


def _own() -> Iterator[Architecture]:
    for name, family, inputs in _NETWORKS:
        yield Architecture(name=name, family=family, source=f"{OWN}:{name}", inputs=inputs)
