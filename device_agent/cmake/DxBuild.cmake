# How everything of ours is compiled and linked, in one place.
include_guard()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# What a program does not use is left out of it.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)

if(DX_SANITIZE)
  add_compile_options(-fsanitize=${DX_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # Half the time to compile of -O2 -g, and a report still names files and lines.
  add_compile_options(-O1 -g1)
  add_link_options(-fsanitize=${DX_SANITIZE})
endif()

# dx_find_headers(VARIABLE FILE ...): the folder of other people's headers, where it is not given. Looked
# for in each configuration: sysroots and packages move, and what was found before would be compiled
# with in silence.
macro(dx_find_headers variable)
  find_path(${variable} ${ARGN} REQUIRED NO_CACHE)
endmacro()

# Our own code's warnings; generated code and other people's headers come as SYSTEM.
function(dx_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Werror)
endfunction()
