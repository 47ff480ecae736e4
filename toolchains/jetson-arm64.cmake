# Workers for NVIDIA Jetson: executables by zig's clang that load the board's own libraries, for
# the glibc $ENV{DX_GLIBC} (JetPack 5's where it is not set). Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/jetson-arm64.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
if(NOT DEFINED ENV{DX_GLIBC})
  set(ENV{DX_GLIBC} 2.31)
endif()
set(ZIG_TARGET aarch64-linux-gnu.$ENV{DX_GLIBC})
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--gc-sections,-z,max-page-size=65536")
