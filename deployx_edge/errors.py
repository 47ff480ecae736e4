"""The tree of errors. Every error says what was expected, what was found and what to do.

DeployxError                 1   anything without a class of its own
├── UsageError               2   an argument that cannot be used (unknown target, device, option)
├── ConfigError              3   deployx.toml cannot be read or contradicts itself
├── MissingToolError         4   a program or compiler this computer lacks
├── ModelError              10   a model that is broken or holds what no runtime here can run
│   ├── BundleError         11   a bundle folder that is incomplete, altered or of another schema
│   └── VerificationError   12   the converted model gives outputs that differ from its source's
├── AccuracyError           13   the accuracy is below what was demanded
├── NotFiniteError          14   a device gives NaN or infinity where the model itself does not
├── SlowdownError           15   a model is slower than was allowed
├── UndecidedError          16   the measurements do not say whether it is
├── FallbackError           17   layers ran in another precision than was asked for
├── BuildError              20   a compile, link or binary check failed
│   └── SourceError         21   a source archive is not available
├── TransportError          30   the link to a device failed
│   ├── AuthenticationError 31   the device refused the key or the user
│   ├── HostKeyError        32   the device's host key is unknown or has changed
│   ├── LinkLostError       33   the link broke or froze in the middle of work
│   ├── ArchitectureError   34   the device is not of the target that was built for
│   ├── DeviceStorageError  35   the device's disk is full or cannot be written
│   ├── DeviceBusyError     36   another run has the device
│   ├── UnfitDeviceError    37   the device cannot run what was asked of it
│   ├── QuarantinedError    38   the model took this device down before
│   └── DamagedContentError 39   what lies on the device is not what was put there
└── AgentError              40   the agent refused or failed
    ├── VersionError        41   agent and host are of different versions
    ├── WorkerCrashError    42   the runtime's process died of a signal
    ├── WorkerTimeoutError  43   the watchdog ended a run that took too long
    ├── WorkerMemoryError   44   the worker passed its memory limit
    └── RuntimeRefusedError 45   the runtime refused the model, its inputs or an option
"""

from __future__ import annotations


class DeployxError(Exception):
    """The root of every error this package raises on purpose.

    ``message`` says what was expected and what was found; ``remedy`` what to do
    about it (may be empty where there is nothing to do but read the message).
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class UsageError(DeployxError):
    exit_code = 2


class ConfigError(DeployxError):
    exit_code = 3


class MissingToolError(DeployxError):
    exit_code = 4


class ModelError(DeployxError):
    exit_code = 10


class BundleError(ModelError):
    exit_code = 11


class VerificationError(ModelError):
    exit_code = 12


class AccuracyError(DeployxError):
    exit_code = 13


class NotFiniteError(DeployxError):
    exit_code = 14


class SlowdownError(DeployxError):
    exit_code = 15


class UndecidedError(DeployxError):
    exit_code = 16


class FallbackError(DeployxError):
    exit_code = 17


class BuildError(DeployxError):
    exit_code = 20


class SourceError(BuildError):
    exit_code = 21


class TransportError(DeployxError):
    exit_code = 30


class AuthenticationError(TransportError):
    exit_code = 31


class HostKeyError(TransportError):
    exit_code = 32


class LinkLostError(TransportError):
    exit_code = 33


class ArchitectureError(TransportError):
    exit_code = 34


class DeviceStorageError(TransportError):
    exit_code = 35


class DeviceBusyError(TransportError):
    exit_code = 36


class UnfitDeviceError(TransportError):
    exit_code = 37


class QuarantinedError(TransportError):
    exit_code = 38


class DamagedContentError(TransportError):
    exit_code = 39


class AgentError(DeployxError):
    exit_code = 40


class VersionError(AgentError):
    exit_code = 41


class WorkerCrashError(AgentError):
    exit_code = 42


class WorkerTimeoutError(AgentError):
    exit_code = 43


class WorkerMemoryError(AgentError):
    exit_code = 44


class RuntimeRefusedError(AgentError):
    exit_code = 45
