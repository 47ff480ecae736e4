from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, get

required_conan_version = ">=2.10"

# The provider, Qualcomm's HTP behind it (on x86-64 its emulator, and the C++ library of that), what
# makes graphs for it, and for each HTP the library that calls it and the one that runs on it.
_LIBRARIES = (
    "onnxruntime_qnn/libonnxruntime_providers_qnn.so",
    "onnxruntime_qnn/libQnnHtp.so",
    "onnxruntime_qnn/libQnnHtpPrepare.so",
    "onnxruntime_qnn/libQnnHtpV*.so",
    "onnxruntime_qnn/libQnnSystem.so",
    "onnxruntime_qnn.libs/*.so.*",
)


class OnnxruntimeQnnConan(ConanFile):
    name = "onnxruntime-qnn"
    description = "ONNX Runtime's provider for Qualcomm's NPUs: the official shared libraries"
    license = "MIT AND LicenseRef-Qualcomm"
    homepage = "https://onnxruntime.ai"
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
        get(self, **wheel, pattern="onnxruntime_qnn*")

    def package(self):
        wheel, package = Path(self.build_folder), Path(self.package_folder)
        for name in ("LICENSE", "ThirdPartyNotices.txt", "Qualcomm_LICENSE.pdf"):
            copy(self, name, wheel / "onnxruntime_qnn", package / "licenses")
        for library in _LIBRARIES:
            folder, _, name = library.partition("/")
            copy(self, name, wheel / folder, package / "lib")

    def package_info(self):
        # The libraries are loaded by their paths, when a model comes, and never linked.
        self.cpp_info.libs = []
        self.cpp_info.bindirs = []
        self.cpp_info.includedirs = []
