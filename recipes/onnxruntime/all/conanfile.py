import io
import tarfile
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanException, ConanInvalidConfiguration
from conan.tools.files import copy, download, get, save

required_conan_version = ">=2.10"

_HEADER = "./usr/include/onnxruntime/onnxruntime_c_api.h"


class OnnxruntimeConan(ConanFile):
    name = "onnxruntime"
    description = "Inference of ONNX models: the official shared library and its C header"
    license = "MIT"
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
                f"There is no official library for {self.settings.os} on {self.settings.arch}."
            )

    @property
    def _wheel(self):
        return self.conan_data["sources"][self.version].get(str(self.settings.arch))

    def build(self):
        wheel = {name: self._wheel[name] for name in ("url", "filename", "sha256")}
        get(self, **wheel, pattern="onnxruntime/*")
        header = self.conan_data["sources"][self.version]["header"]
        download(self, **header)
        package = Path(self.build_folder, header["filename"]).read_bytes()
        save(self, "include/onnxruntime_c_api.h", _header(package))

    def package(self):
        wheel = Path(self.build_folder, "onnxruntime")
        for name in ("LICENSE", "ThirdPartyNotices.txt"):
            copy(self, name, wheel, Path(self.package_folder, "licenses"))
        include = Path(self.build_folder, "include")
        copy(self, "*.h", include, Path(self.package_folder, "include"))
        library = f"libonnxruntime.so.{self.version}"
        copy(self, library, wheel / "capi", Path(self.package_folder, "lib"))

    def package_info(self):
        # The library is loaded by its path, when a model comes, and never linked.
        self.cpp_info.libs = []
        self.cpp_info.bindirs = []


def _header(package):
    """The C header of a Debian package: an ar archive with a tar archive of the files."""
    data = dict(_members(package)).get("data.tar.xz")
    if data is None:
        raise ConanException("The Debian package holds no data.tar.xz.")
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        return files.extractfile(_HEADER).read().decode("utf-8")


def _members(archive):
    """Name and content of each member: a header of 60 bytes, then the content, at even places."""
    at = len(b"!<arch>\n")
    while at + 60 <= len(archive):
        name, size = archive[at : at + 16].decode().strip(), int(archive[at + 48 : at + 58])
        yield name.rstrip("/"), archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
