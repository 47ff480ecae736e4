# 64-bit Arm Linux: glibc executables by Debian's g++ for aarch64. Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/linux-arm64-gnu.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(GNU_TRIPLE aarch64-linux-gnu)
include("${CMAKE_CURRENT_LIST_DIR}/gnu.cmake")
