from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import get, load, save

required_conan_version = ">=2.10"


class Re2Conan(ConanFile):
    name = "re2"
    description = "Regular expressions in linear time"
    license = "BSD-3-Clause"
    homepage = "https://github.com/google/re2"
    topics = ("regex",)
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "CMakeLists.txt"

    def layout(self):
        cmake_layout(self, src_folder="src")

    def source(self):
        get(
            self,
            **self.conan_data["sources"][self.version],
            strip_root=True,
            pattern="*/third_party/re2/*",
        )

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["RE2_SOURCE"] = self._re2.as_posix()
        toolchain.generate()

    @property
    def _re2(self):
        return Path(self.source_folder, "third_party", "re2")

    def build(self):
        cmake = CMake(self)
        cmake.configure(build_script_folder=Path(self.source_folder).parent)
        cmake.build()

    def package(self):
        # The archive leaves re2's LICENSE out; its headers carry the notice.
        notice = load(self, self._re2 / "re2" / "re2.h").partition("\n\n")[0]
        save(self, Path(self.package_folder, "licenses", "LICENSE"), notice)
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "re2")
        self.cpp_info.set_property("cmake_target_name", "re2::re2")
        self.cpp_info.libs = ["re2"]
        # Android's C library holds its threads.
        self.cpp_info.system_libs = [] if self.settings.os == "Android" else ["pthread"]
