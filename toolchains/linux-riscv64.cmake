# 64-bit RISC-V Linux: static musl executables by zig's clang. Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/linux-riscv64.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(ZIG_TARGET riscv64-linux-musl)
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
