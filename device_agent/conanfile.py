from conan import ConanFile
from conan.tools.cmake import CMakeDeps, CMakeToolchain

required_conan_version = ">=2.10"


class DeviceAgentConan(ConanFile):
    """What dx-agent and the workers are linked with. ``conan.lock`` pins it."""

    settings = "os", "arch", "compiler", "build_type"
    options = {"agent": [True, False], "worker_ncnn": [True, False]}
    default_options = {"agent": True, "worker_ncnn": True}

    def requirements(self):
        if self.options.agent:
            self.requires("grpc/1.51.1")
        if self.options.worker_ncnn:
            self.requires("ncnn/1.0.20261020")

    def generate(self):
        toolchain = CMakeToolchain(self)
        # The source folder is not ours to write into.
        toolchain.user_presets_path = False
        toolchain.generate()
        CMakeDeps(self).generate()
