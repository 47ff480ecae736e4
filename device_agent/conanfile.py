import json
from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMakeDeps, CMakeToolchain

required_conan_version = ">=2.10"

# Each worker's facts name the packages that it is compiled with.
_FACTS = sorted(Path(__file__).parent.glob("workers/*/worker.json"))
_WORKERS = {
    f"worker_{path.parent.name}": json.loads(path.read_text(encoding="utf-8"))["packages"]
    for path in _FACTS
}


class DeviceAgentConan(ConanFile):
    """What dx-agent and the workers are compiled with. ``conan.lock`` pins it."""

    settings = "os", "arch", "compiler", "build_type"
    options = {part: [True, False] for part in ("agent", *_WORKERS)}
    default_options = dict.fromkeys(("agent", *_WORKERS), True)

    def requirements(self):
        if self.options.agent:
            self.requires("grpc/1.51.1")
        built = [packages for part, packages in _WORKERS.items() if self.options.get_safe(part)]
        # Workers may share a package.
        for package in dict.fromkeys(package for packages in built for package in packages):
            self.requires(package)

    def generate(self):
        toolchain = CMakeToolchain(self)
        # The source folder is not ours to write into.
        toolchain.user_presets_path = False
        toolchain.generate()
        CMakeDeps(self).generate()
