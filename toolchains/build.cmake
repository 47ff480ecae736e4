# The computer that builds, by zig's clang: for the code generators that a build runs.
if(CMAKE_HOST_APPLE)
  set(ZIG_TARGET ${CMAKE_HOST_SYSTEM_PROCESSOR}-macos)
else()
  set(ZIG_TARGET ${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-musl)
endif()
string(REPLACE "arm64" "aarch64" ZIG_TARGET ${ZIG_TARGET})
include("${CMAKE_CURRENT_LIST_DIR}/zig.cmake")
