# Debian's GCC as a cross compiler. Included by the targets' -gnu files after they set GNU_TRIPLE.
# glibc stays a shared library (a static one cannot look up host names); GCC's own do not.
set(CMAKE_C_COMPILER ${GNU_TRIPLE}-gcc)
set(CMAKE_CXX_COMPILER ${GNU_TRIPLE}-g++)
foreach(language C CXX ASM)
  set(CMAKE_${language}_FLAGS_INIT "-ffunction-sections -fdata-sections")
endforeach()
# Unused code dropped, symbols stripped; some boards' kernels use pages of up to 64 KiB.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libgcc -static-libstdc++ -Wl,--gc-sections -Wl,-z,max-page-size=65536")
set(CMAKE_EXE_LINKER_FLAGS_RELEASE_INIT "-s")
