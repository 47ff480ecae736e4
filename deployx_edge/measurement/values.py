"""The values of a measurement: options asked for, conditions found, samples, results."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployx_edge.errors import UsageError
from deployx_edge.feed_back import FeedBack
from deployx_edge.measurement.choices import ACCELERATORS, CORES, PRECISIONS


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a model is to be run.

    ``threads`` 0 means as many as physical cores of the selected ones are free to the worker.
    ``named`` are options of the runtime's own by name, such as ("winograd_convolution", "off");
    they win over what ``precision`` says. The runtime takes its defaults for the others.
    """

    threads: int = 0
    cores: str = "all"
    precision: str = "fp32"
    accelerator: str = "cpu"
    named: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("cores", self.cores, CORES)
        _one_of("accelerator", self.accelerator, ACCELERATORS)
        if not 0 <= self.threads <= 1024:
            raise UsageError(f"threads = {self.threads} is not between 0 and 1024.")


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """How often to run: ``iterations``, or as many as fit into ``seconds``; one of them is 0.

    All of it ``repeats`` times, each in a worker process of its own. With ``feed_back`` each run is
    a step, which takes what the one before it gave; the first takes zeros.
    """

    warmup: int = 10
    iterations: int = 100
    seconds: float = 0.0
    pause_seconds: float = 0.0
    repeats: int = 1
    feed_back: tuple[FeedBack, ...] = ()

    def __post_init__(self) -> None:
        if (self.iterations > 0) == (self.seconds > 0):
            raise UsageError(
                f"Of iterations ({self.iterations}) and seconds ({self.seconds}) exactly one "
                "must be more than 0."
            )
        if self.warmup < 0 or self.pause_seconds < 0:
            raise UsageError("warm-up and pause cannot be negative.")
        if not 1 <= self.repeats <= 1000:
            raise UsageError(f"repeats = {self.repeats} is not between 1 and 1000.")


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """When the agent ends a worker: resident bytes (0: no limit), seconds of silence, and seconds
    that it may take to prepare a model; ``rebuild``: what was prepared before is made again."""

    memory_bytes: int = 0
    watchdog_seconds: float = 60.0
    prepare_seconds: float = 600.0
    rebuild: bool = False


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One sensor: degrees Celsius or MHz, and the file it was read from."""

    name: str
    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Of what is not the processor, an accelerator or a rail: its load ("%"), clock ("MHz") or
    power ("W"), and the file it was read from."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The board's state at one moment; empty where nothing could be read. ``settings`` are what
    was chosen there, in words ("power mode MODE_15W")."""

    temperatures: tuple[Reading, ...] = ()
    frequencies: tuple[Reading, ...] = ()
    governors: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Cores that share a clock. ``max_mhz`` 0: not known."""

    name: str
    cpus: tuple[int, ...]
    max_mhz: float


@dataclass(frozen=True, kw_only=True)
class BoardDescription:
    """What the agent says of the board; None is "not available".

    ``cores`` are the processors that the agent may run on, ``free_cores`` the physical cores
    among them that its affinity and its control groups' ``processor_quota`` (in processors, None
    for none) leave to run at once; 0 where an agent does not say.
    """

    machine: str
    kernel: str
    os: str
    libc: str
    soc: str | None
    cpu_model: str | None
    cores: int
    clusters: tuple[Cluster, ...]
    isa_features: tuple[str, ...]
    memory_bytes: int | None
    memory_available_bytes: int | None
    disk_free_bytes: int | None
    conditions: Conditions
    emulated: bool
    emulated_reason: str
    free_cores: int = 0
    processor_quota: float | None = None


@dataclass(frozen=True, kw_only=True)
class AgentBuild:
    """What the agent says of itself."""

    version: str
    compiler: str
    build_type: str
    target_id: str
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """A model in a worker. ``threads`` is the number that the runtime really uses,
    ``accelerator_bytes`` what the model takes of an accelerator's memory (None: not told)."""

    model_id: str
    runtime_version: str
    load_ns: int
    threads: int
    accelerator_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class PrecisionCount:
    """How many layers produced elements of this precision."""

    precision: str
    layers: int


@dataclass(frozen=True, kw_only=True)
class UnitCount:
    """How many layers a unit of the board computed ("CPU", "GPU", "DLA"); ``fell_back`` of them an
    accelerator left to it."""

    unit: str
    layers: int
    fell_back: int = 0


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """``runs`` of which ``streams`` went on at a time took ``ns``, copies and all."""

    streams: int
    runs: int
    ns: int

    @property
    def per_second(self) -> float:
        """Runs a second."""
        return self.runs / self.ns * 1e9


@dataclass(frozen=True, kw_only=True)
class BenchSamples:
    """The raw result of one bench on the board.

    ``run_lengths``: how many of the samples each worker process gave, in order; empty for one.
    ``waited_ns``: how long the worker's threads, taken together, were ready to run and waited for
    a processor during the timed runs. ``throttled_ns``: how long its control groups were held
    back by their quota meanwhile. None where the board does not count it. ``peaks_bytes``: the
    peak memory of each worker process where there were several; empty where one told none.
    ``fell_back``: layers that an accelerator left to another unit. ``units``: what computed the
    layers; empty where the runtime does not tell. ``throughput``: of runs beside each other, which
    the samples are not; None where the model runs one at a time.
    """

    samples_ns: tuple[int, ...]
    first_run_ns: int
    precisions: tuple[PrecisionCount, ...]
    peak_memory_bytes: int | None
    before: Conditions
    after: Conditions
    run_lengths: tuple[int, ...] = ()
    waited_ns: int | None = None
    throttled_ns: int | None = None
    peaks_bytes: tuple[int, ...] = ()
    fell_back: tuple[str, ...] = ()
    units: tuple[UnitCount, ...] = ()
    throughput: Throughput | None = None


@dataclass(frozen=True, kw_only=True)
class BoardLoad:
    """How many of a board's cores were busy for others during a measurement: by ``programs``
    there, and ``stolen`` by whoever runs the board as a virtual machine."""

    programs: float
    stolen: float


@dataclass(frozen=True, kw_only=True)
class InferenceCost:
    """What single inferences over the link take; medians in nanoseconds.

    ``serialisation_ns`` is the worker's own share (decode, copy, encode), ``link_ns``
    the rest of the round trip: the link, gRPC and the agent.
    """

    calls: int
    round_trip_ns: float
    compute_ns: float
    serialisation_ns: float
    link_ns: float


@dataclass(frozen=True, kw_only=True)
class TransportCost:
    """What the link costs: ``empty_ns`` is the median round trip of ``empty_calls`` messages that
    run nothing. ``inference`` is None for a model whose single run takes too long for that."""

    empty_calls: int
    empty_ns: float
    inference: InferenceCost | None


@dataclass(frozen=True, kw_only=True)
class PushCost:
    """What bringing the files to the board took; ``replaced`` names files that lay there already
    and were not what their sha256 says."""

    total_bytes: int
    sent_bytes: int
    seconds: float
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceIdentity:
    """Where a result comes from. ``facts`` are names and values that only the board's system
    knows, such as an Android device's battery."""

    name: str
    uri: str
    target_id: str
    board: BoardDescription
    agent: AgentBuild
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """What was run. ``inputs`` as ``image:1x3x224x224``; empty where nobody said."""

    name: str
    runtime: str
    bundle_sha256: str
    source_sha256: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """One row of a bench table, complete enough to be believed later.

    ``batch``: samples in one run. ``baseline``: of the bundle that another one was run against.
    ``other_load``: how many cores other programs kept busy meanwhile, ``stolen_load`` how many the
    board's own host took; None where the board does not say. ``noisy``: something of ``warnings``
    disturbed the runs. ``loads_ns``: how long each worker process took to load.
    """

    model: ModelIdentity
    device: DeviceIdentity
    options: RunOptions
    plan: BenchPlan
    load: LoadResult
    bench: BenchSamples
    transport: TransportCost | None
    push: PushCost | None
    measured_at: str
    batch: int = 1
    baseline: bool = False
    other_load: float | None = None
    stolen_load: float | None = None
    noisy: bool = False
    loads_ns: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    # What one checked run gave that the model does not: NaN and infinity, a sentence.
    not_finite: tuple[str, ...] = ()
    # Of ``warnings`` those that layers ran in another precision, or elsewhere, than was asked for.
    fell_back: str | None = None


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """Times of one layer, one per iteration; ``dims`` of its first output, slowest first.

    Of its elements, None is what the runtime does not tell. ``macs`` are its multiply-accumulates
    in one run, ``node`` the source's node that it is or is mostly made of; None where that is not
    known. ``unit`` is what computed it, of a runtime that has several ("NPU", "CPU"); it
    ``fell_back`` where an accelerator was asked to, and left it to that unit. ``samples_cycles``
    stand in place of ``samples_ns``, of a part of a layer whose unit counts cycles and tells no
    times.
    """

    index: int
    name: str
    type: str
    dims: tuple[int, ...]
    element_bits: int | None
    packing: int | None
    precision: str | None
    samples_ns: tuple[int, ...]
    macs: int | None = None
    node: str | None = None
    unit: str | None = None
    samples_cycles: tuple[int, ...] = ()
    fell_back: bool = False


@dataclass(frozen=True, kw_only=True)
class ProfileSamples:
    """The raw result of one profile: each layer, and undivided runs beside them."""

    layers: tuple[LayerProfile, ...]
    whole_ns: tuple[int, ...]
    before: Conditions = field(default_factory=Conditions)
    after: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, kw_only=True)
class ProfileResult:
    """A profile with its conditions."""

    model: ModelIdentity
    device: DeviceIdentity
    options: RunOptions
    load: LoadResult
    profile: ProfileSamples
    measured_at: str
    not_finite: tuple[str, ...] = ()
    fell_back: str | None = None


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(
            f"{option} = '{value}' is not known.", remedy=f"Known: {', '.join(known)}."
        )
