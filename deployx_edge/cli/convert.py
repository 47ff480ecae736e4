"""``deployx-edge convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.chip import SocOfOption, chosen_soc
from deployx_edge.cli.fallback import ConversionFallbackOption, check_conversion
from deployx_edge.cli.option_values import (
    one_runtime,
    precision_words,
    runtime_words,
    torch_options,
)
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    CheckpointOption,
    ExporterOption,
    FactoryArgumentsOption,
    InputShapeOption,
    JsonOption,
    KeepFloatOption,
    LikeOption,
    ModelArgument,
    OutputShapeOption,
    RewriterOption,
    RuntimesOption,
    SamplesOption,
    SettingsOption,
    SocOption,
)
from deployx_edge.runtime import GENERAL_RUNTIME

OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="The folder that the bundle is written to."
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="The precision of the stored weights: fp32, fp16 or bf16; several as fp32,fp16.",
    ),
]
PreprocessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--preprocess",
        metavar="KEY=VALUE,…",
        help="How an image becomes an input, e.g. "
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
ConverterOption = Annotated[
    str | None,
    typer.Option(
        "--converter",
        help="What writes the runtime's files, where there are several; for ncnn native (the "
        "default, keeps names) or pnnx.",
    ),
]
PartitionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--partition",
        metavar="TENSOR|MARK[=RUNTIME]",
        help="Cut the model there into bundles that run one after the other; what comes after is "
        f"for {GENERAL_RUNTIME} unless said otherwise. May be repeated.",
    ),
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


def convert(
    model: ModelArgument,
    output: OutputOption,
    runtime: RuntimesOption = None,
    soc: SocOption = None,
    soc_of: SocOfOption = None,
    precision: WeightsOption = None,
    input_shape: InputShapeOption = None,
    output_shape: OutputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    exporter: ExporterOption = "auto",
    rewriter: RewriterOption = None,
    settings: SettingsOption = "{}",
    preprocess: PreprocessOption = None,
    postprocess: PostprocessOption = None,
    like: LikeOption = None,
    samples: SamplesOption = None,
    keep_float: KeepFloatOption = None,
    partition: PartitionOption = None,
    name: NameOption = None,
    converter: ConverterOption = None,
    allow_fallback: ConversionFallbackOption = False,
    no_verify: NoVerifyOption = False,
    accept_unproven: AcceptUnprovenOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a model into a bundle: a runtime's files, compared with the source, and a manifest.

    With several runtimes or precisions each gets a folder of its name in the output.

    Example: deployx-edge convert examples/digits/digits_cnn.onnx -o digits --precision fp16
    """
    from dataclasses import replace

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.cli.several_runtimes import convert_each, refuse_partition
    from deployx_edge.report.bundle import (
        bundle_document,
        bundle_table,
        sequence_document,
        sequence_report,
    )
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle

    runtimes, precisions = runtime_words(runtime), precision_words(precision)
    options = BundleOptions(
        soc=chosen_soc(soc, soc_of, runtimes),
        input_shapes=tuple(input_shape or ()),
        output_shapes=tuple(output_shape or ()),
        preprocess=tuple(preprocess or ()),
        postprocess=tuple(postprocess or ()),
        like=like,
        samples=tuple(samples or ()),
        verify=not no_verify,
        accept_unproven=accept_unproven,
        keep_float=tuple(keep_float or ()),
        name=name,
        converter=converter,
        allow_fallback=allow_fallback,
        torch=torch_options(checkpoint, factory_args, exporter, rewriter, settings, accept_frozen),
    )
    if not partition:
        check_conversion(allow_fallback, runtimes or (None,))
    if len(runtimes) > 1 or len(precisions) > 1:
        refuse_partition(partition)
        convert_each(model, output, runtimes, precisions, options, json)
        return
    options = replace(
        options, runtime=one_runtime(runtimes), precision=precisions[0] if precisions else None
    )
    with show_progress() as progress:
        if partition:
            from deployx_edge.workflows.convert.partition import make_sequence

            sequence = make_sequence(model, output, partition, options, progress=progress)
        else:
            made = make_bundle(model, output, options, progress=progress)
    if partition:
        if json:
            print_json(sequence_document(sequence))
        else:
            print_report(sequence_report(sequence))
    elif json:
        print_json(bundle_document(made))
    else:
        print_report(bundle_table(made))
