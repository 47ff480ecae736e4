from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get, mkdir

required_conan_version = ">=2.10"

# gRPC's CMake downloads these archives of .proto files, which nothing here reads, unless the
# folders are there.
_UNUSED_PROTOS = ("envoy-api", "googleapis", "opencensus-proto/src", "xds")


class GrpcConan(ConanFile):
    name = "grpc"
    description = "Remote procedure calls: the C++ library without TLS, or the C++ code generator"
    license = "Apache-2.0"
    homepage = "https://grpc.io"
    topics = ("rpc",)
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    # "plugin" is grpc_cpp_plugin alone, for the computer that builds.
    options = {"product": ["library", "plugin"]}
    default_options = {"product": "library"}
    exports_sources = "plugin/CMakeLists.txt", "unity.cmake"

    def configure(self):
        if self.options.product == "plugin":
            self.options["protobuf"].protoc = True

    def layout(self):
        cmake_layout(self, src_folder="src")

    def requirements(self):
        self.requires("protobuf/3.21.12", transitive_headers=True)
        if self.options.product == "library":
            self.requires("abseil/20220623.1", transitive_headers=True)
            self.requires("c-ares/1.18.1")
            self.requires("re2/20210901")
            self.requires("zlib/1.2.13")

    def validate(self):
        check_min_cppstd(self, 14)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)
        for name in _UNUSED_PROTOS:
            mkdir(self, Path(self.source_folder, "third_party", name))

    def generate(self):
        toolchain = CMakeToolchain(self)
        variables = toolchain.cache_variables
        variables["CMAKE_POLICY_VERSION_MINIMUM"] = "3.5"
        variables["CMAKE_POSITION_INDEPENDENT_CODE"] = False
        variables["gRPC_SOURCE"] = Path(self.source_folder).as_posix()
        variables["gRPC_INSTALL"] = False
        variables["gRPC_BUILD_CODEGEN"] = False
        variables["gRPC_BUILD_CSHARP_EXT"] = False
        variables["gRPC_SSL_PROVIDER"] = "none"
        for name in ("ABSL", "CARES", "PROTOBUF", "RE2", "ZLIB"):
            variables[f"gRPC_{name}_PROVIDER"] = "package"
        variables["gRPC_PROTOBUF_PACKAGE_TYPE"] = "CONFIG"
        # Seen to compile for Linux; an NDK was not to be had.
        if self.options.product == "library" and self.settings.os == "Linux":
            unity = Path(self.source_folder).parent / "unity.cmake"
            variables["CMAKE_PROJECT_grpc_INCLUDE"] = unity.as_posix()
            variables["CMAKE_UNITY_BUILD"] = True
            variables["CMAKE_UNITY_BUILD_BATCH_SIZE"] = "8"
        if self.settings.compiler == "clang":
            # An error of newer Clangs that gRPC 1.51 trips over in every file.
            toolchain.extra_cxxflags.append("-Wno-missing-template-arg-list-after-template-kw")
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        if self.options.product == "plugin":
            cmake.configure(build_script_folder=Path(self.source_folder).parent / "plugin")
            cmake.build(target="grpc_cpp_plugin")
        else:
            cmake.configure()
            cmake.build(target="grpc++_unsecure")

    def package(self):
        package = Path(self.package_folder)
        copy(self, "LICENSE", self.source_folder, package / "licenses")
        if self.options.product == "plugin":
            copy(self, "grpc_cpp_plugin", self.build_folder, package / "bin", keep_path=False)
            return
        headers = Path(self.source_folder, "include")
        copy(self, "*.h", headers, package / "include")
        copy(self, "*.a", self.build_folder, package / "lib", keep_path=False)

    def package_info(self):
        if self.options.product == "plugin":
            self.cpp_info.requires = ["protobuf::libprotoc"]
            return
        self.cpp_info.set_property("cmake_file_name", "gRPC")
        absl = [f"abseil::{name}" for name in _ABSEIL]
        self._component("address_sorting", [])
        self._component("upb", [])
        self._component("gpr", absl)
        self._component(
            "grpc_unsecure",
            [
                "gpr",
                "upb",
                "address_sorting",
                "c-ares::c-ares",
                "re2::re2",
                "zlib::zlib",
                *absl,
            ],
        )
        self._component("grpc++_unsecure", ["grpc_unsecure", "protobuf::libprotobuf"])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"gRPC::{name}")
        component.libs = [name]
        component.requires = requires
        # Android's C library holds its threads.
        android = self.settings.os == "Android"
        component.system_libs = ["m", "log"] if android else ["m", "pthread"]


# The targets that gRPC's CMakeLists.txt links for grpc_unsecure and gpr.
_ABSEIL = (
    "any_invocable",
    "base",
    "bind_front",
    "cleanup",
    "cord",
    "core_headers",
    "flat_hash_map",
    "flat_hash_set",
    "function_ref",
    "hash",
    "inlined_vector",
    "memory",
    "optional",
    "random_random",
    "span",
    "status",
    "statusor",
    "str_format",
    "strings",
    "synchronization",
    "time",
    "type_traits",
    "utility",
    "variant",
)
