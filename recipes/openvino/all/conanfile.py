from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, get, rename

required_conan_version = ">=2.10"

# What runs an ONNX model on the processor: the C interface, the library behind it, its threads,
# what reads ONNX, what reads a model that was compiled before, and what computes. The last has
# another name for each maker of processors.
_LIBRARIES = (
    "libopenvino_c.so.*",
    "libopenvino.so.*",
    "libtbb.so.*",
    "libopenvino_onnx_frontend.so.*",
    "libopenvino_ir_frontend.so.*",
    "libopenvino_*_cpu_plugin.so",
)
_PLUGIN = "libopenvino_cpu_plugin.so"


class OpenvinoConan(ConanFile):
    name = "openvino"
    description = "Inference on the processor: the official shared libraries and their headers"
    license = "Apache-2.0"
    homepage = "https://docs.openvino.ai"
    topics = ("deep-learning", "inference", "onnx")
    package_type = "shared-library"
    settings = "os", "arch", "compiler", "build_type"

    def package_id(self):
        # Nothing is compiled.
        del self.info.settings.compiler
        del self.info.settings.build_type

    def validate(self):
        if self.settings.os != "Linux" or self._wheel is None:
            raise ConanInvalidConfiguration(
                f"There are no official libraries for {self.settings.os} on {self.settings.arch}."
            )

    @property
    def _wheel(self):
        return self.conan_data["sources"][self.version].get(str(self.settings.arch))

    def build(self):
        wheel = {name: self._wheel[name] for name in ("url", "filename", "sha256")}
        get(self, **wheel)

    def package(self):
        wheel, package = Path(self.build_folder), Path(self.package_folder)
        licences = wheel / f"openvino-{self.version}.dist-info" / "licenses"
        copy(self, "*", licences, package / "licenses")
        include = wheel / "openvino" / "include"
        copy(self, "openvino/c/*.h", include, package / "include")
        for library in _LIBRARIES:
            copy(self, library, wheel / "openvino" / "libs", package / "lib")
        (plugin,) = (package / "lib").glob("libopenvino_*_cpu_plugin.so")
        rename(self, plugin, package / "lib" / _PLUGIN)

    def package_info(self):
        # The libraries are loaded by their paths, when a model comes, and never linked.
        self.cpp_info.libs = []
        self.cpp_info.bindirs = []
