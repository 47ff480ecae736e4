# zig's clang as a cross compiler. Included by the targets' files after they set ZIG_TARGET.
# zig is found by $DX_ZIG, on PATH, or as the Python package ziglang.
if(NOT EXISTS "$ENV{DX_ZIG}")
  find_program(DX_ZIG_PROGRAM zig NO_CACHE)
  if(NOT DX_ZIG_PROGRAM)
    execute_process(COMMAND python3 -c "import ziglang; print(ziglang.__path__[0] + '/zig', end='')"
                    OUTPUT_VARIABLE DX_ZIG_PROGRAM COMMAND_ERROR_IS_FATAL ANY)
  endif()
  set(ENV{DX_ZIG} "${DX_ZIG_PROGRAM}")
endif()
set(CMAKE_C_COMPILER "${CMAKE_CURRENT_LIST_DIR}/bin/zig-cc" "--zig=$ENV{DX_ZIG}" -target ${ZIG_TARGET})
set(CMAKE_CXX_COMPILER "${CMAKE_CURRENT_LIST_DIR}/bin/zig-c++" "--zig=$ENV{DX_ZIG}" -target ${ZIG_TARGET})
set(CMAKE_ASM_COMPILER ${CMAKE_C_COMPILER})
set(CMAKE_AR "$ENV{DX_ZIG}" CACHE FILEPATH "")
set(CMAKE_RANLIB "$ENV{DX_ZIG}" CACHE FILEPATH "")
foreach(language C CXX ASM)
  set(CMAKE_${language}_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "<CMAKE_RANLIB> ranlib <TARGET>")
  set(CMAKE_${language}_FLAGS_INIT "-ffunction-sections -fdata-sections")
endforeach()
# Static, unused code dropped, symbols stripped; some boards' kernels use pages of up to 64 KiB.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -Wl,--gc-sections -Wl,-z,max-page-size=65536")
set(CMAKE_EXE_LINKER_FLAGS_RELEASE_INIT "-s")
