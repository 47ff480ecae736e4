"""``deployx-edge push``."""

from __future__ import annotations

from deployx_edge.cli.options import DeviceOption, InputShapeOption, JsonOption, ModelArgument


def push(
    model: ModelArgument,
    device: DeviceOption,
    input_shape: InputShapeOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a model, its runtime and the agent to a board, without running anything.

    What the board already holds is not sent again; a broken push resumes where it broke.

    Example: deployx-edge push model.onnx --device pi
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.report.units import size
    from deployx_edge.workflows.bundle import make_bundle
    from deployx_edge.workflows.session import push_to_device

    chosen = load_config().find_device(device)
    with show_progress() as progress:
        bundle = make_bundle(model, input_shapes=input_shape or (), progress=progress)
        cost = push_to_device(chosen, bundle, progress=progress)
    if json:
        print_json({"kind": "push", "bundle": bundle.name, "device": chosen.name, **asdict(cost)})
        return
    print_report(
        f"{bundle.name} is on {chosen.name}: sent {size(cost.sent_bytes)} of "
        f"{size(cost.total_bytes)} in {cost.seconds:.2f} s"
    )
