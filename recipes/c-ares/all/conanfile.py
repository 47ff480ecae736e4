from pathlib import Path

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get, rmdir

required_conan_version = ">=2.10"


class CaresConan(ConanFile):
    name = "c-ares"
    description = "Asynchronous DNS requests"
    license = "MIT"
    homepage = "https://c-ares.org"
    topics = ("dns",)
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self, src_folder="src")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        variables = toolchain.cache_variables
        variables["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"
        variables["CARES_STATIC"] = True
        variables["CARES_SHARED"] = False
        variables["CARES_BUILD_TESTS"] = False
        variables["CARES_BUILD_TOOLS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE.md", self.source_folder, Path(self.package_folder, "licenses"))
        CMake(self).install()
        rmdir(self, Path(self.package_folder, "lib", "cmake"))
        rmdir(self, Path(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, Path(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "c-ares")
        self.cpp_info.set_property("cmake_target_name", "c-ares::cares")
        self.cpp_info.libs = ["cares"]
        self.cpp_info.defines = ["CARES_STATICLIB"]
