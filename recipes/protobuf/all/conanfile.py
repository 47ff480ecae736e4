from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get

required_conan_version = ">=2.10"


class ProtobufConan(ConanFile):
    name = "protobuf"
    description = "Protocol buffers: the C++ library, and the compiler where it is asked for"
    license = "BSD-3-Clause"
    homepage = "https://protobuf.dev"
    topics = ("serialization", "rpc")
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"protoc": [True, False]}
    default_options = {"protoc": False}

    def layout(self):
        cmake_layout(self, src_folder="src")

    def validate(self):
        check_min_cppstd(self, 11)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        variables = toolchain.cache_variables
        variables["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"
        variables["protobuf_BUILD_TESTS"] = False
        variables["protobuf_WITH_ZLIB"] = False
        variables["protobuf_BUILD_SHARED_LIBS"] = False
        variables["protobuf_BUILD_PROTOC_BINARIES"] = bool(self.options.protoc)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build(target="protoc" if self.options.protoc else "libprotobuf")

    def package(self):
        package = Path(self.package_folder)
        copy(self, "LICENSE", self.source_folder, package / "licenses")
        # Installed by hand: upstream's install demands the lite library too, which nobody needs.
        headers = Path(self.source_folder, "src")
        copy(self, "google/protobuf/*.h", headers, package / "include")
        copy(self, "google/protobuf/*.inc", headers, package / "include")
        copy(self, "google/protobuf/*.proto", headers, package / "include", excludes="*unittest*")
        copy(self, "*.a", self.build_folder, package / "lib", keep_path=False)
        copy(
            self,
            "protoc*",
            self.build_folder,
            package / "bin",
            keep_path=False,
            excludes=("*.a", "*.cmake", "CMakeFiles/*"),
        )

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "both")
        self.cpp_info.set_property("cmake_file_name", "protobuf")
        self.cpp_info.set_property("cmake_module_file_name", "Protobuf")
        library = self.cpp_info.components["libprotobuf"]
        library.set_property("cmake_target_name", "protobuf::libprotobuf")
        library.libs = ["protobuf"]
        # Android's C library holds its threads.
        android = self.settings.os == "Android"
        library.system_libs = ["m", "log"] if android else ["m", "pthread"]
        if self.options.protoc:
            compiler = self.cpp_info.components["libprotoc"]
            compiler.set_property("cmake_target_name", "protobuf::libprotoc")
            compiler.libs = ["protoc"]
            compiler.requires = ["libprotobuf"]
