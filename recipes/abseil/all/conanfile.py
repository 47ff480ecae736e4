import json
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get, load, rmdir, save

required_conan_version = ">=2.10"


class AbseilConan(ConanFile):
    name = "abseil"
    description = "Google's extensions of the C++ standard library"
    license = "Apache-2.0"
    homepage = "https://abseil.io"
    topics = ("algorithm", "container", "utilities")
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"

    def layout(self):
        cmake_layout(self, src_folder="src")

    def validate(self):
        check_min_cppstd(self, 11)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ABSL_ENABLE_INSTALL"] = True
        toolchain.cache_variables["ABSL_PROPAGATE_CXX_STD"] = True
        toolchain.cache_variables["BUILD_TESTING"] = False
        if self.settings.os == "Linux":
            # musl declares off64_t only when asked to.
            toolchain.preprocessor_definitions["_LARGEFILE64_SOURCE"] = 1
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, Path(self.package_folder, "licenses"))
        CMake(self).install()
        library = Path(self.package_folder, "lib")
        targets = load(self, library / "cmake" / "absl" / "abslTargets.cmake")
        save(self, library / "components.json", json.dumps(_components(targets), indent=1))
        rmdir(self, library / "cmake")
        rmdir(self, library / "pkgconfig")

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "absl")
        components = json.loads(load(self, Path(self.package_folder, "lib", "components.json")))
        for name, facts in components.items():
            component = self.cpp_info.components[name]
            component.set_property("cmake_target_name", f"absl::{name}")
            component.libs = [f"absl_{name}"] if facts["library"] else []
            component.requires = facts["requires"]
            # Android's C library holds its threads.
            absent = ("pthread",) if self.settings.os == "Android" else ()
            component.system_libs = [name for name in facts["system_libs"] if name not in absent]


def _components(targets):
    """What abseil's own CMake export says of each target: library or header only, and needs."""
    kinds = dict(re.findall(r"add_library\(absl::(\w+) (STATIC|INTERFACE) IMPORTED\)", targets))
    components = {
        name: {"library": kind == "STATIC", "requires": [], "system_libs": []}
        for name, kind in kinds.items()
    }
    properties = re.findall(
        r"set_target_properties\(absl::(\w+) PROPERTIES(.*?)\n\)", targets, re.DOTALL
    )
    for name, text in properties:
        links = re.search(r'INTERFACE_LINK_LIBRARIES "(.*?)"', text)
        for word in re.findall(r"absl::\w+|Threads::Threads|-l\w+", links[1] if links else ""):
            if word.startswith("absl::"):
                if word[6:] not in components[name]["requires"]:
                    components[name]["requires"].append(word[6:])
            else:
                library = "pthread" if word.startswith("Threads") else word[2:]
                components[name]["system_libs"].append(library)
    return components
