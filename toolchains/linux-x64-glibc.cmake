# 64-bit x86 Linux: executables by zig's clang that load shared libraries, for the glibc
# $ENV{DX_GLIBC} (2.28 where it is not set). Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/linux-x64-glibc.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
if(NOT DEFINED ENV{DX_GLIBC})
  set(ENV{DX_GLIBC} 2.28)
endif()
set(ZIG_TARGET x86_64-linux-gnu.$ENV{DX_GLIBC})
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--gc-sections,-z,max-page-size=65536")
