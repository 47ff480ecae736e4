"""Results as a bench would leave them, for the tests of what is shown and written."""

from dataclasses import replace

from deployx_edge.measurement.values import (
    AgentBuild,
    BenchPlan,
    BenchResult,
    BenchSamples,
    BoardDescription,
    Conditions,
    DeviceIdentity,
    InferenceCost,
    LoadResult,
    ModelIdentity,
    PrecisionCount,
    Reading,
    RunOptions,
    TransportCost,
)

BOARD = BoardDescription(
    machine="aarch64",
    kernel="6.6.0",
    os="Debian 12",
    libc="musl",
    soc="BCM2712",
    cpu_model="Cortex-A76",
    cores=4,
    clusters=(),
    isa_features=("fp", "asimd"),
    memory_bytes=8 << 30,
    memory_available_bytes=4 << 30,
    disk_free_bytes=1 << 30,
    conditions=Conditions(),
    emulated=False,
    emulated_reason="",
)


def result(
    *,
    emulated=False,
    ran="fp32",
    asked="fp32",
    samples=(2_000_000,) * 10,
    threads=4,
    lengths=(),
    batch=1,
    baseline=False,
):
    return BenchResult(
        model=ModelIdentity(
            name="digits",
            runtime="ncnn",
            bundle_sha256="ab" * 32,
            source_sha256="cd" * 32,
            inputs=("image:1x1x28x28",),
        ),
        device=DeviceIdentity(
            name="pi",
            uri="ssh:pi@192.0.2.7",
            target_id="linux-arm64",
            board=replace(BOARD, emulated=emulated, emulated_reason="qemu" if emulated else ""),
            agent=AgentBuild(
                version="0.1.0",
                compiler="clang",
                build_type="Release",
                target_id="linux-arm64",
                features=(),
            ),
        ),
        options=RunOptions(threads=threads, precision=asked),
        plan=BenchPlan(),
        load=LoadResult(model_id="m", runtime_version="1.0", load_ns=5_000_000, threads=threads),
        bench=BenchSamples(
            samples_ns=tuple(samples),
            first_run_ns=3_000_000,
            precisions=(PrecisionCount(precision=ran, layers=5),),
            peak_memory_bytes=10 << 20,
            before=Conditions(temperatures=(Reading(name="cpu", value=40.0, source="t"),)),
            after=Conditions(temperatures=(Reading(name="cpu", value=55.5, source="t"),)),
            run_lengths=tuple(lengths),
        ),
        transport=TransportCost(
            empty_calls=20,
            empty_ns=4e5,
            inference=InferenceCost(
                calls=20, round_trip_ns=3e6, compute_ns=2e6, serialisation_ns=1e5, link_ns=9e5
            ),
        ),
        push=None,
        batch=batch,
        baseline=baseline,
        measured_at="2026-01-01T00:00:00+00:00",
    )
