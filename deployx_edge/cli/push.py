"""``deployx-edge push``."""

from __future__ import annotations

from deployx_edge.cli.options import (
    AllOption,
    DevicesOption,
    InputShapeOption,
    JsonOption,
    ModelArgument,
    RuntimeNameOption,
    VerifyOption,
    WaitOption,
)


def push(
    model: ModelArgument,
    device: DevicesOption = None,
    everyone: AllOption = False,
    runtime: RuntimeNameOption = None,
    input_shape: InputShapeOption = None,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    json: JsonOption = False,
) -> None:
    """Bring a model, its runtime and the agent to a board, without running anything.

    What the board already holds is not sent again; a broken push resumes where it broke.

    Example: deployx-edge push model.onnx --device pi
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import (
        end_with,
        print_json,
        print_report,
        show_progress,
        show_progress_of,
    )
    from deployx_edge.units import size
    from deployx_edge.workflows.boards.devices import chosen_devices
    from deployx_edge.workflows.boards.session import push_to_device, replaced_sentence
    from deployx_edge.workflows.boards.several import run_on_devices
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle

    devices = chosen_devices(device, everyone)
    wanted = BundleOptions(runtime=runtime, input_shapes=tuple(input_shape or ()))
    with show_progress() as progress:
        bundle = make_bundle(model, options=wanted, progress=progress)
    with show_progress_of([chosen.name for chosen in devices]) as progress_of:
        outcomes = run_on_devices(
            devices,
            lambda chosen, progress: push_to_device(
                chosen, bundle, wait=wait, verify=verify, progress=progress
            ),
            lambda chosen: progress_of(chosen.name),
        )
    if len(devices) == 1:
        end_with(outcomes)
    if json:
        pushes = [
            {"device": o.device.name, **asdict(o.value)} for o in outcomes if o.value is not None
        ]
        head = {"kind": "push", "bundle": bundle.name}
        print_json({**head, "pushes": pushes} if len(devices) > 1 else {**head, **pushes[0]})
    for outcome in outcomes:
        cost = outcome.value
        if cost is not None and not json:
            print_report(
                f"{bundle.name} is on {outcome.device.name}: sent {size(cost.sent_bytes)} of "
                f"{size(cost.total_bytes)} in {cost.seconds:.2f} s"
            )
            if cost.replaced:
                print_report(replaced_sentence(outcome.device.name, cost.replaced))
    end_with(outcomes)
