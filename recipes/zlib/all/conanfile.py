from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import get, load, save

required_conan_version = ">=2.10"


class ZlibConan(ConanFile):
    name = "zlib"
    description = "Deflate compression"
    license = "Zlib"
    homepage = "https://zlib.net"
    topics = ("compression",)
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "CMakeLists.txt"

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self, src_folder="src")

    def source(self):
        get(
            self,
            **self.conan_data["sources"][self.version],
            strip_root=True,
            pattern="*/third_party/zlib/*",
        )

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ZLIB_SOURCE"] = self._zlib.as_posix()
        toolchain.generate()

    @property
    def _zlib(self):
        return Path(self.source_folder, "third_party", "zlib")

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder=Path(self.source_folder).parent)
        cmake.build()

    def package(self):
        header = load(self, self._zlib / "zlib.h")
        save(self, Path(self.package_folder, "licenses", "LICENSE"), header[: header.index("*/")])
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "both")
        self.cpp_info.set_property("cmake_file_name", "ZLIB")
        self.cpp_info.set_property("cmake_target_name", "ZLIB::ZLIB")
        self.cpp_info.libs = ["z"]
