from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailureCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_UNSPECIFIED: _ClassVar[FailureCode]
    FAILURE_VERSION: _ClassVar[FailureCode]
    FAILURE_INVALID_REQUEST: _ClassVar[FailureCode]
    FAILURE_UNKNOWN_MODEL: _ClassVar[FailureCode]
    FAILURE_MISSING_FILE: _ClassVar[FailureCode]
    FAILURE_RUNTIME_REFUSED: _ClassVar[FailureCode]
    FAILURE_OPTION_REFUSED: _ClassVar[FailureCode]
    FAILURE_WORKER_CRASHED: _ClassVar[FailureCode]
    FAILURE_WORKER_EXITED: _ClassVar[FailureCode]
    FAILURE_WATCHDOG: _ClassVar[FailureCode]
    FAILURE_MEMORY_LIMIT: _ClassVar[FailureCode]
    FAILURE_CANCELLED: _ClassVar[FailureCode]
    FAILURE_INTERNAL: _ClassVar[FailureCode]
    FAILURE_DAMAGED_FILE: _ClassVar[FailureCode]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_SPAWN: _ClassVar[Phase]
    PHASE_LOAD: _ClassVar[Phase]
    PHASE_FIRST_RUN: _ClassVar[Phase]
    PHASE_RUN: _ClassVar[Phase]
    PHASE_UNLOAD: _ClassVar[Phase]
    PHASE_PREPARE: _ClassVar[Phase]

class CoreSelection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CORES_ALL: _ClassVar[CoreSelection]
    CORES_LITTLE: _ClassVar[CoreSelection]
    CORES_BIG: _ClassVar[CoreSelection]
FAILURE_UNSPECIFIED: FailureCode
FAILURE_VERSION: FailureCode
FAILURE_INVALID_REQUEST: FailureCode
FAILURE_UNKNOWN_MODEL: FailureCode
FAILURE_MISSING_FILE: FailureCode
FAILURE_RUNTIME_REFUSED: FailureCode
FAILURE_OPTION_REFUSED: FailureCode
FAILURE_WORKER_CRASHED: FailureCode
FAILURE_WORKER_EXITED: FailureCode
FAILURE_WATCHDOG: FailureCode
FAILURE_MEMORY_LIMIT: FailureCode
FAILURE_CANCELLED: FailureCode
FAILURE_INTERNAL: FailureCode
FAILURE_DAMAGED_FILE: FailureCode
PHASE_UNSPECIFIED: Phase
PHASE_SPAWN: Phase
PHASE_LOAD: Phase
PHASE_FIRST_RUN: Phase
PHASE_RUN: Phase
PHASE_UNLOAD: Phase
PHASE_PREPARE: Phase
CORES_ALL: CoreSelection
CORES_LITTLE: CoreSelection
CORES_BIG: CoreSelection

class Failure(_message.Message):
    __slots__ = ("code", "message", "phase", "signal", "log_tail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    code: FailureCode
    message: str
    phase: Phase
    signal: int
    log_tail: str
    def __init__(self, code: _Optional[_Union[FailureCode, str]] = ..., message: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., signal: _Optional[int] = ..., log_tail: _Optional[str] = ...) -> None: ...

class HandshakeRequest(_message.Message):
    __slots__ = ("host_version", "protocol_version")
    HOST_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    host_version: str
    protocol_version: int
    def __init__(self, host_version: _Optional[str] = ..., protocol_version: _Optional[int] = ...) -> None: ...

class HandshakeReply(_message.Message):
    __slots__ = ("agent_version", "protocol_version", "compiler", "build_type", "target_id", "features")
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPILER_FIELD_NUMBER: _ClassVar[int]
    BUILD_TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    agent_version: str
    protocol_version: int
    compiler: str
    build_type: str
    target_id: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent_version: _Optional[str] = ..., protocol_version: _Optional[int] = ..., compiler: _Optional[str] = ..., build_type: _Optional[str] = ..., target_id: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Reading(_message.Message):
    __slots__ = ("name", "value", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    source: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., source: _Optional[str] = ...) -> None: ...

class Measure(_message.Message):
    __slots__ = ("name", "value", "unit", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    source: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Conditions(_message.Message):
    __slots__ = ("temperatures", "frequencies", "governors", "measures", "settings")
    TEMPERATURES_FIELD_NUMBER: _ClassVar[int]
    FREQUENCIES_FIELD_NUMBER: _ClassVar[int]
    GOVERNORS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    temperatures: _containers.RepeatedCompositeFieldContainer[Reading]
    frequencies: _containers.RepeatedCompositeFieldContainer[Reading]
    governors: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    settings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, temperatures: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., frequencies: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., governors: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., settings: _Optional[_Iterable[str]] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("name", "cpus", "max_mhz")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MAX_MHZ_FIELD_NUMBER: _ClassVar[int]
    name: str
    cpus: _containers.RepeatedScalarFieldContainer[int]
    max_mhz: float
    def __init__(self, name: _Optional[str] = ..., cpus: _Optional[_Iterable[int]] = ..., max_mhz: _Optional[float] = ...) -> None: ...

class DeviceDescription(_message.Message):
    __slots__ = ("machine", "kernel", "os", "libc", "soc", "cpu_model", "cores", "clusters", "isa_features", "memory_bytes", "memory_available_bytes", "disk_free_bytes", "conditions", "emulated", "emulated_reason", "free_cores", "processor_quota")
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    LIBC_FIELD_NUMBER: _ClassVar[int]
    SOC_FIELD_NUMBER: _ClassVar[int]
    CPU_MODEL_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    ISA_FEATURES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    EMULATED_FIELD_NUMBER: _ClassVar[int]
    EMULATED_REASON_FIELD_NUMBER: _ClassVar[int]
    FREE_CORES_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_QUOTA_FIELD_NUMBER: _ClassVar[int]
    machine: str
    kernel: str
    os: str
    libc: str
    soc: str
    cpu_model: str
    cores: int
    clusters: _containers.RepeatedCompositeFieldContainer[Cluster]
    isa_features: _containers.RepeatedScalarFieldContainer[str]
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    conditions: Conditions
    emulated: bool
    emulated_reason: str
    free_cores: int
    processor_quota: float
    def __init__(self, machine: _Optional[str] = ..., kernel: _Optional[str] = ..., os: _Optional[str] = ..., libc: _Optional[str] = ..., soc: _Optional[str] = ..., cpu_model: _Optional[str] = ..., cores: _Optional[int] = ..., clusters: _Optional[_Iterable[_Union[Cluster, _Mapping]]] = ..., isa_features: _Optional[_Iterable[str]] = ..., memory_bytes: _Optional[int] = ..., memory_available_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., conditions: _Optional[_Union[Conditions, _Mapping]] = ..., emulated: bool = ..., emulated_reason: _Optional[str] = ..., free_cores: _Optional[int] = ..., processor_quota: _Optional[float] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunOptions(_message.Message):
    __slots__ = ("threads", "cores", "accelerator", "precision", "named")
    class NamedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    THREADS_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    NAMED_FIELD_NUMBER: _ClassVar[int]
    threads: int
    cores: CoreSelection
    accelerator: str
    precision: str
    named: _containers.ScalarMap[str, str]
    def __init__(self, threads: _Optional[int] = ..., cores: _Optional[_Union[CoreSelection, str]] = ..., accelerator: _Optional[str] = ..., precision: _Optional[str] = ..., named: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ModelFile(_message.Message):
    __slots__ = ("role", "sha256", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: str
    sha256: str
    name: str
    def __init__(self, role: _Optional[str] = ..., sha256: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class LoadRequest(_message.Message):
    __slots__ = ("runtime", "files", "options", "memory_limit_bytes", "watchdog_ms", "outputs", "prepare_ms", "rebuild")
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WATCHDOG_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PREPARE_MS_FIELD_NUMBER: _ClassVar[int]
    REBUILD_FIELD_NUMBER: _ClassVar[int]
    runtime: str
    files: _containers.RepeatedCompositeFieldContainer[ModelFile]
    options: RunOptions
    memory_limit_bytes: int
    watchdog_ms: int
    outputs: _containers.RepeatedScalarFieldContainer[str]
    prepare_ms: int
    rebuild: bool
    def __init__(self, runtime: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ModelFile, _Mapping]]] = ..., options: _Optional[_Union[RunOptions, _Mapping]] = ..., memory_limit_bytes: _Optional[int] = ..., watchdog_ms: _Optional[int] = ..., outputs: _Optional[_Iterable[str]] = ..., prepare_ms: _Optional[int] = ..., rebuild: bool = ...) -> None: ...

class TensorInfo(_message.Message):
    __slots__ = ("name", "dims", "dtype", "dims_told")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DIMS_TOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    dims: _containers.RepeatedScalarFieldContainer[int]
    dtype: str
    dims_told: bool
    def __init__(self, name: _Optional[str] = ..., dims: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., dims_told: bool = ...) -> None: ...

class Loaded(_message.Message):
    __slots__ = ("model_id", "runtime_version", "load_ns", "inputs", "outputs", "threads", "accelerator_bytes")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    LOAD_NS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    runtime_version: str
    load_ns: int
    inputs: _containers.RepeatedCompositeFieldContainer[TensorInfo]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorInfo]
    threads: int
    accelerator_bytes: int
    def __init__(self, model_id: _Optional[str] = ..., runtime_version: _Optional[str] = ..., load_ns: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[TensorInfo, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorInfo, _Mapping]]] = ..., threads: _Optional[int] = ..., accelerator_bytes: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("fraction", "text")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    text: str
    def __init__(self, fraction: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class LoadEvent(_message.Message):
    __slots__ = ("phase", "loaded", "progress")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    loaded: Loaded
    progress: Progress
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., loaded: _Optional[_Union[Loaded, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "dtype", "dims", "data", "batched")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    BATCHED_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    dims: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    batched: bool
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., dims: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., batched: bool = ...) -> None: ...

class FeedBack(_message.Message):
    __slots__ = ("output", "input", "grows", "omitted")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    GROWS_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    output: str
    input: str
    grows: bool
    omitted: bool
    def __init__(self, output: _Optional[str] = ..., input: _Optional[str] = ..., grows: bool = ..., omitted: bool = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("model_id", "sequence", "inputs", "feed_back")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FEED_BACK_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    sequence: int
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    feed_back: _containers.RepeatedCompositeFieldContainer[FeedBack]
    def __init__(self, model_id: _Optional[str] = ..., sequence: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., feed_back: _Optional[_Iterable[_Union[FeedBack, _Mapping]]] = ...) -> None: ...

class InferReply(_message.Message):
    __slots__ = ("sequence", "outputs", "compute_ns", "worker_ns")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_NS_FIELD_NUMBER: _ClassVar[int]
    WORKER_NS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    outputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    compute_ns: int
    worker_ns: int
    def __init__(self, sequence: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., compute_ns: _Optional[int] = ..., worker_ns: _Optional[int] = ...) -> None: ...

class BenchRequest(_message.Message):
    __slots__ = ("model_id", "inputs", "warmup", "iterations", "seconds", "pause_ns", "feed_back")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_NS_FIELD_NUMBER: _ClassVar[int]
    FEED_BACK_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    warmup: int
    iterations: int
    seconds: float
    pause_ns: int
    feed_back: _containers.RepeatedCompositeFieldContainer[FeedBack]
    def __init__(self, model_id: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., warmup: _Optional[int] = ..., iterations: _Optional[int] = ..., seconds: _Optional[float] = ..., pause_ns: _Optional[int] = ..., feed_back: _Optional[_Iterable[_Union[FeedBack, _Mapping]]] = ...) -> None: ...

class PrecisionCount(_message.Message):
    __slots__ = ("precision", "layers")
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    precision: str
    layers: int
    def __init__(self, precision: _Optional[str] = ..., layers: _Optional[int] = ...) -> None: ...

class UnitCount(_message.Message):
    __slots__ = ("unit", "layers", "fell_back")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    FELL_BACK_FIELD_NUMBER: _ClassVar[int]
    unit: str
    layers: int
    fell_back: int
    def __init__(self, unit: _Optional[str] = ..., layers: _Optional[int] = ..., fell_back: _Optional[int] = ...) -> None: ...

class Throughput(_message.Message):
    __slots__ = ("streams", "runs", "ns")
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NS_FIELD_NUMBER: _ClassVar[int]
    streams: int
    runs: int
    ns: int
    def __init__(self, streams: _Optional[int] = ..., runs: _Optional[int] = ..., ns: _Optional[int] = ...) -> None: ...

class BenchSummary(_message.Message):
    __slots__ = ("first_run_ns", "precisions", "peak_memory_bytes", "before", "after", "runs", "waited_ns", "throttled_ns", "fell_back", "units", "throughput")
    FIRST_RUN_NS_FIELD_NUMBER: _ClassVar[int]
    PRECISIONS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    WAITED_NS_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_NS_FIELD_NUMBER: _ClassVar[int]
    FELL_BACK_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    THROUGHPUT_FIELD_NUMBER: _ClassVar[int]
    first_run_ns: int
    precisions: _containers.RepeatedCompositeFieldContainer[PrecisionCount]
    peak_memory_bytes: int
    before: Conditions
    after: Conditions
    runs: int
    waited_ns: int
    throttled_ns: int
    fell_back: _containers.RepeatedScalarFieldContainer[str]
    units: _containers.RepeatedCompositeFieldContainer[UnitCount]
    throughput: Throughput
    def __init__(self, first_run_ns: _Optional[int] = ..., precisions: _Optional[_Iterable[_Union[PrecisionCount, _Mapping]]] = ..., peak_memory_bytes: _Optional[int] = ..., before: _Optional[_Union[Conditions, _Mapping]] = ..., after: _Optional[_Union[Conditions, _Mapping]] = ..., runs: _Optional[int] = ..., waited_ns: _Optional[int] = ..., throttled_ns: _Optional[int] = ..., fell_back: _Optional[_Iterable[str]] = ..., units: _Optional[_Iterable[_Union[UnitCount, _Mapping]]] = ..., throughput: _Optional[_Union[Throughput, _Mapping]] = ...) -> None: ...

class Samples(_message.Message):
    __slots__ = ("ns",)
    NS_FIELD_NUMBER: _ClassVar[int]
    ns: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ns: _Optional[_Iterable[int]] = ...) -> None: ...

class BenchEvent(_message.Message):
    __slots__ = ("phase", "samples", "summary")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    samples: Samples
    summary: BenchSummary
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., samples: _Optional[_Union[Samples, _Mapping]] = ..., summary: _Optional[_Union[BenchSummary, _Mapping]] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ("model_id", "inputs", "warmup", "iterations")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    warmup: int
    iterations: int
    def __init__(self, model_id: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., warmup: _Optional[int] = ..., iterations: _Optional[int] = ...) -> None: ...

class LayerTimes(_message.Message):
    __slots__ = ("index", "name", "type", "dims", "element_bits", "packing", "precision", "ns", "unit", "cycles", "fell_back")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_BITS_FIELD_NUMBER: _ClassVar[int]
    PACKING_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    NS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CYCLES_FIELD_NUMBER: _ClassVar[int]
    FELL_BACK_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    type: str
    dims: _containers.RepeatedScalarFieldContainer[int]
    element_bits: int
    packing: int
    precision: str
    ns: _containers.RepeatedScalarFieldContainer[int]
    unit: str
    cycles: _containers.RepeatedScalarFieldContainer[int]
    fell_back: bool
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., type: _Optional[str] = ..., dims: _Optional[_Iterable[int]] = ..., element_bits: _Optional[int] = ..., packing: _Optional[int] = ..., precision: _Optional[str] = ..., ns: _Optional[_Iterable[int]] = ..., unit: _Optional[str] = ..., cycles: _Optional[_Iterable[int]] = ..., fell_back: bool = ...) -> None: ...

class ProfileSummary(_message.Message):
    __slots__ = ("whole_ns", "before", "after")
    WHOLE_NS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    whole_ns: _containers.RepeatedScalarFieldContainer[int]
    before: Conditions
    after: Conditions
    def __init__(self, whole_ns: _Optional[_Iterable[int]] = ..., before: _Optional[_Union[Conditions, _Mapping]] = ..., after: _Optional[_Union[Conditions, _Mapping]] = ...) -> None: ...

class ProfileEvent(_message.Message):
    __slots__ = ("phase", "layer", "summary")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    layer: LayerTimes
    summary: ProfileSummary
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., layer: _Optional[_Union[LayerTimes, _Mapping]] = ..., summary: _Optional[_Union[ProfileSummary, _Mapping]] = ...) -> None: ...

class UnloadRequest(_message.Message):
    __slots__ = ("model_id",)
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    def __init__(self, model_id: _Optional[str] = ...) -> None: ...

class UnloadReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
