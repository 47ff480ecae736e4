# 32-bit Arm Linux, hard float with NEON: static musl executables by zig's clang. Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/linux-armv7.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(ZIG_TARGET arm-linux-musleabihf)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
foreach(language C CXX ASM)
  list(TRANSFORM CMAKE_${language}_COMPILER REPLACE "/bin/zig-c" "/bin/linux-armv7-c")
endforeach()
