# 64-bit x86 Linux: glibc executables by Debian's g++ for x86_64. Usable alone:
#   cmake -G Ninja -DCMAKE_TOOLCHAIN_FILE=toolchains/linux-x64-gnu.cmake -S … -B …
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(GNU_TRIPLE x86_64-linux-gnu)
include("${CMAKE_CURRENT_LIST_DIR}/gnu.cmake")
