# dx_keep_blocks(TARGET): an executable that keeps large freed blocks, where its C library does not
# (see common/wrapped_malloc.cpp). glibc and bionic keep them; sanitizers want malloc for themselves.
include_guard()
include(CheckCXXSourceCompiles)

check_cxx_source_compiles([[
#include <features.h>
#if defined(__GLIBC__) || defined(__BIONIC__)
#error keeps blocks itself
#endif
#include <malloc.h>
int main() { return malloc_usable_size(nullptr) == 0 ? 0 : 1; }
]] DX_LIBC_RETURNS_BLOCKS)

function(dx_keep_blocks target)
  if(NOT DX_LIBC_RETURNS_BLOCKS OR DX_SANITIZE)
    return()
  endif()
  target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/common/wrapped_malloc.cpp")
  # Else the compiler takes a malloc and a memset for a calloc.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/common/wrapped_malloc.cpp"
    TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -fno-builtin)
  foreach(name malloc calloc posix_memalign free)
    target_link_options(${target} PRIVATE "-Wl,--wrap=${name}")
  endforeach()
endfunction()
