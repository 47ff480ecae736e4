"""``deployx-edge bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import InputShapeOption, JsonOption, ModelArgument

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the bundle is written.")
]
WeightsOption = Annotated[
    str | None, typer.Option("--precision", help="Of the stored weights: fp32 or fp16.")
]
PreprocessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--preprocess",
        metavar="KEY=VALUE,…",
        help="How a picture becomes an input, e.g. "
        "resize=224x224,colour=rgb,mean=123.7/116.3/103.5,std=58.4/57.1/57.4.",
    ),
]
PostprocessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--postprocess",
        metavar="KEY=VALUE,…",
        help="What an output means, e.g. softmax,labels=cat|dog.",
    ),
]
ViaOption = Annotated[
    str, typer.Option("--via", help="The converter: emitter (ours, keeps names) or pnnx.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="The bundle's name.")]
NoVerifyOption = Annotated[
    bool,
    typer.Option("--no-verify", help="Do not compare with the source. The bundle says so."),
]
AcceptUnprovenOption = Annotated[
    bool,
    typer.Option("--accept-unproven", help="Accept outputs that hardly depend on the input."),
]


def bundle(
    model: ModelArgument,
    output: OutputOption,
    precision: WeightsOption = None,
    input_shape: InputShapeOption = None,
    preprocess: PreprocessOption = None,
    postprocess: PostprocessOption = None,
    name: NameOption = None,
    via: ViaOption = "emitter",
    no_verify: NoVerifyOption = False,
    accept_unproven: AcceptUnprovenOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a model into a bundle: ncnn's files, compared with the source, and a manifest.

    Example: deployx-edge bundle examples/digits/digits_cnn.onnx -o digits --precision fp16
    """
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.bundle import bundle_document, bundle_table
    from deployx_edge.workflows.bundle import BundleOptions, make_bundle

    options = BundleOptions(
        precision=precision,
        input_shapes=tuple(input_shape or ()),
        preprocess=tuple(preprocess or ()),
        postprocess=tuple(postprocess or ()),
        verify=not no_verify,
        accept_unproven=accept_unproven,
        name=name,
        via=via,
    )
    with show_progress() as progress:
        made = make_bundle(model, output, options, progress=progress)
    if json:
        print_json(bundle_document(made))
    else:
        print_report(bundle_table(made))
