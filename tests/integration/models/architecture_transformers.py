"""The networks of ``transformers`` in the matrix, each with a small configuration.

Text models are converted from their embeddings on: ncnn has no whole numbers, and a table that
is looked up costs nothing worth measuring.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.integration.models.architectures import Architecture

_IMAGE = ("pixel_values:1x3x96x96",)
_TEXT = ("inputs_embeds:1x32x96",)
# What most of the plain encoders share.
_ENCODER: dict[str, Any] = {
    "hidden_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 192,
}
_VISION: dict[str, Any] = {**_ENCODER, "image_size": 96, "patch_size": 16}
_WINDOWS: dict[str, Any] = {
    "image_size": 96,
    "patch_size": 4,
    "embed_dim": 32,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 6,
}
_FEW = {"num_labels": 10}

# Family, class, configuration; inputs where they are not an image of 96 pixels.
_NETWORKS: tuple[tuple[Any, ...], ...] = (
    ("transformer", "ViTForImageClassification", {**_VISION, **_FEW}),
    ("transformer", "DeiTForImageClassificationWithTeacher", {**_VISION, **_FEW}),
    ("transformer", "BeitForImageClassification", {**_VISION, "use_relative_position_bias": True}),
    ("transformer", "Dinov2ForImageClassification", {**_VISION, **_FEW}),
    ("transformer", "Dinov2WithRegistersForImageClassification", {**_VISION, **_FEW}),
    ("transformer", "DINOv3ViTModel", _VISION),
    ("transformer", "SiglipVisionModel", _VISION),
    ("transformer", "CLIPVisionModel", _VISION),
    ("transformer", "SwinForImageClassification", {**_WINDOWS, **_FEW}),
    ("transformer", "Swinv2ForImageClassification", {**_WINDOWS, **_FEW}),
    (
        "transformer",
        "FocalNetForImageClassification",
        {
            "image_size": 96,
            "embed_dim": 32,
            "depths": [2, 2],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "hidden_sizes": [32, 64],
        },
    ),
    (
        "transformer",
        "PvtForImageClassification",
        {
            "image_size": 96,
            "hidden_sizes": [16, 32, 48, 64],
            "num_attention_heads": [1, 2, 3, 4],
        },
    ),
    (
        "transformer",
        "PvtV2ForImageClassification",
        {
            "image_size": 96,
            "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 3, 4],
        },
    ),
    (
        "transformer",
        "HieraForImageClassification",
        {
            "image_size": [96, 96],
            "embed_dim": 24,
            "depths": [1, 2, 2, 1],
            "num_heads": [1, 2, 4, 8],
            "masked_unit_size": [8, 8],
        },
    ),
    (
        "transformer",
        "PoolFormerForImageClassification",
        {
            "hidden_sizes": [16, 32, 48, 64],
            "depths": [1, 1, 2, 1],
        },
    ),
    ("transformer", "BertModel", _ENCODER, _TEXT),
    (
        "transformer",
        "DistilBertModel",
        {
            "dim": 96,
            "hidden_dim": 192,
            "n_layers": 3,
            "n_heads": 4,
        },
        _TEXT,
    ),
    (
        "transformer",
        "GPT2Model",
        {
            "n_embd": 96,
            "n_layer": 3,
            "n_head": 4,
            "use_cache": False,
        },
        _TEXT,
    ),
    ("transformer", "LlamaModel", {**_ENCODER, "use_cache": False}, _TEXT),
    ("mobile", "MobileNetV2ForImageClassification", {"depth_multiplier": 0.35, "image_size": 96}),
    (
        "mobile",
        "EfficientNetForImageClassification",
        {
            "image_size": 96,
            "width_coefficient": 0.5,
            "depth_coefficient": 0.5,
            "hidden_dim": 640,
        },
    ),
    ("mobile", "PPLCNetForImageClassification", {}),
    (
        "hybrid",
        "MobileViTForImageClassification",
        {
            "image_size": 96,
            "hidden_sizes": [48, 64, 80],
            "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 96],
            "num_attention_heads": 4,
        },
    ),
    ("hybrid", "MobileViTV2ForImageClassification", {"image_size": 96, "width_multiplier": 0.5}),
    (
        "hybrid",
        "LevitForImageClassification",
        {"image_size": 128, "hidden_sizes": [48, 64, 96], "depths": [2, 2, 2]},
        ("pixel_values:1x3x128x128",),
    ),
    (
        "hybrid",
        "CvtForImageClassification",
        {
            "embed_dim": [24, 48, 96],
            "num_heads": [1, 2, 4],
            "depth": [1, 2, 3],
        },
    ),
    (
        "hybrid",
        "SwiftFormerForImageClassification",
        {
            "image_size": 96,
            "depths": [1, 1, 2, 1],
            "embed_dims": [24, 32, 48, 64],
        },
    ),
    (
        "segmentation",
        "SegformerForSemanticSegmentation",
        {
            "hidden_sizes": [16, 32, 40, 64],
            "num_attention_heads": [1, 1, 2, 4],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 64,
        },
    ),
    (
        "segmentation",
        "MobileViTForSemanticSegmentation",
        {
            "image_size": 96,
            "hidden_sizes": [48, 64, 80],
            "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 96],
            "num_attention_heads": 4,
            "aspp_out_channels": 64,
        },
    ),
    (
        "segmentation",
        "MobileNetV2ForSemanticSegmentation",
        {
            "depth_multiplier": 0.35,
            "image_size": 96,
        },
    ),
    (
        "segmentation",
        "DPTForDepthEstimation",
        {
            **_VISION,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [16, 24, 32, 48],
            "fusion_hidden_size": 32,
            "is_hybrid": False,
        },
    ),
    (
        "segmentation",
        "DepthAnythingForDepthEstimation",
        {
            "neck_hidden_sizes": [16, 24, 32, 48],
            "fusion_hidden_size": 32,
            "reassemble_hidden_size": 96,
            "head_hidden_size": 16,
            "patch_size": 16,
            "backbone_config": {
                "model_type": "dinov2",
                **_VISION,
                "num_hidden_layers": 4,
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
                "reshape_hidden_states": False,
            },
        },
    ),
    (
        "segmentation",
        "UperNetForSemanticSegmentation",
        {
            "hidden_size": 32,
            "auxiliary_channels": 32,
            "auxiliary_in_channels": 72,
            "use_auxiliary_head": False,
            "backbone_config": {
                "model_type": "convnext",
                "hidden_sizes": [24, 48, 72, 96],
                "depths": [1, 1, 1, 1],
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
            },
        },
    ),
    (
        "detection and pose",
        "YolosForObjectDetection",
        {
            **_VISION,
            "image_size": [96, 96],
            "num_detection_tokens": 10,
        },
    ),
    (
        "detection and pose",
        "DetrForObjectDetection",
        {
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone": None,
            "backbone_config": {
                "model_type": "resnet",
                "embedding_size": 16,
                "hidden_sizes": [32, 64, 96, 128],
                "depths": [1, 1, 1, 1],
                "out_features": ["stage4"],
            },
            "d_model": 64,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "num_queries": 10,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
        },
    ),
    (
        "detection and pose",
        "VitPoseForPoseEstimation",
        {
            "backbone_config": {
                "model_type": "vitpose_backbone",
                **_VISION,
                "image_size": [128, 96],
                "patch_size": [16, 16],
                "out_features": ["stage3"],
            },
        },
        ("pixel_values:1x3x128x96",),
    ),
    (
        "super-resolution",
        "Swin2SRForImageSuperResolution",
        {
            "image_size": 32,
            "embed_dim": 24,
            "depths": [2, 2],
            "num_heads": [2, 2],
            "window_size": 8,
            "upsampler": "pixelshuffledirect",
            "upscale": 2,
        },
        ("pixel_values:1x3x32x40",),
    ),
    (
        "text recognition",
        "PPOCRV5MobileRecForTextRecognition",
        {
            "hidden_size": 48,
            "num_attention_heads": 4,
            "head_out_channels": 100,
            "backbone_config": {
                "model_type": "pp_lcnet_v3",
                "scale": 0.5,
                "divisor": 16,
                "out_features": ["stage2", "stage3", "stage4", "stage5"],
                "block_configs": [
                    [[3, 16, 32, 1, False]],
                    [[3, 32, 64, [2, 1], False], [3, 64, 64, 1, False]],
                    [[3, 64, 128, [1, 2], False], [3, 128, 128, 1, False]],
                    [[3, 128, 256, [2, 1], False], [5, 256, 256, 1, False]],
                    [[5, 256, 512, [2, 1], True], [5, 512, 512, 1, True]],
                ],
            },
        },
        ("pixel_values:1x3x48x160",),
    ),
    ("detection and pose", "PPOCRV5MobileDetForObjectDetection", {}, ("pixel_values:1x3x128x160",)),
    (
        "speech",
        "Wav2Vec2Model",
        {
            **_ENCODER,
            "conv_dim": [32, 32, 32],
            "conv_stride": [5, 2, 2],
            "conv_kernel": [10, 3, 3],
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
        ("input_values:1x1600",),
    ),
    (
        "speech",
        "ASTForAudioClassification",
        {
            **_ENCODER,
            "max_length": 96,
            "num_mel_bins": 64,
        },
        ("input_values:1x96x64",),
    ),
)


def transformer_architectures() -> Iterator[Architecture]:
    """The entries of ``transformers``, named by their classes."""
    for family, source, arguments, *inputs in _NETWORKS:
        yield Architecture(
            name=source,
            family=family,
            source=f"transformers:{source}",
            inputs=inputs[0] if inputs else _IMAGE,
            arguments=arguments,
        )
