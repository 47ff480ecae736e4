from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import apply_conandata_patches, copy, export_conandata_patches, get, rmdir

required_conan_version = ">=2.10"


class NcnnConan(ConanFile):
    name = "ncnn"
    description = "Neural network inference for phones and boards, on the processor"
    license = "BSD-3-Clause"
    homepage = "https://github.com/Tencent/ncnn"
    topics = ("deep-learning", "inference", "embedded")
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"
    # Without dispatch only what every processor of the architecture can do: a quarter of the
    # files on x86, for builds that nobody times.
    options = {"dispatch": [True, False]}
    default_options = {"dispatch": True}
    exports_sources = "unity.cmake"

    def export_sources(self):
        export_conandata_patches(self)

    def layout(self):
        cmake_layout(self, src_folder="src")

    def validate(self):
        check_min_cppstd(self, 11)
        if self.settings.os not in ("Linux", "Android"):
            raise ConanInvalidConfiguration("Only for Linux and Android.")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)
        apply_conandata_patches(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        variables = toolchain.cache_variables
        # Without it ncnn calls itself after the day it is built.
        variables["NCNN_VERSION"] = str(self.version).rpartition(".")[2]
        variables["NCNN_VULKAN"] = False
        # Threads without an OpenMP library beside it: zig has none, and one static file is wanted.
        variables["NCNN_SIMPLEOMP"] = True
        variables["NCNN_SHARED_LIB"] = False
        variables["NCNN_ENABLE_LTO"] = False
        variables["NCNN_RUNTIME_CPU"] = bool(self.options.dispatch)
        if not self.options.dispatch:
            variables["NCNN_AVX"] = False  # All that is newer asks for it.
        # A sixth of the x86 files, and hardly a processor: FMA4 and XOP went with AMD's Bulldozer,
        # AVX-NE-CONVERT only converts bfloat16 faster. Such processors take the AVX or AVX2 files.
        for feature in ("FMA4", "XOP", "AVXNECONVERT"):
            variables[f"NCNN_{feature}"] = False
        # Android's asset manager and bitmaps are for apps; they would need two more libraries.
        variables["NCNN_PLATFORM_API"] = self.settings.os != "Android"
        # A bad allocation must reach the caller as an exception, not end the process.
        variables["NCNN_DISABLE_RTTI"] = False
        variables["NCNN_DISABLE_EXCEPTION"] = False
        # Seen to compile for Linux; an NDK was not to be had.
        if self.settings.os == "Linux":
            unity = Path(self.source_folder).parent / "unity.cmake"
            variables["CMAKE_PROJECT_ncnn_INCLUDE"] = unity.as_posix()
        for part in ("TOOLS", "EXAMPLES", "BENCHMARK", "TESTS"):
            variables[f"NCNN_BUILD_{part}"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE.txt", self.source_folder, Path(self.package_folder, "licenses"))
        # ncnn's own CMake files stay: they make the package folder a prefix for builds that
        # do not use Conan.
        CMake(self).install()
        rmdir(self, Path(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "ncnn")
        self.cpp_info.set_property("cmake_target_name", "ncnn")
        self.cpp_info.libs = ["ncnn"]
        self.cpp_info.includedirs = ["include", "include/ncnn"]
        # Android's C library holds its threads.
        android = self.settings.os == "Android"
        self.cpp_info.system_libs = ["m", "log"] if android else ["m", "pthread"]
