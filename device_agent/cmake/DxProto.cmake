# The generated code of agent.proto. protoc and its plugin run on the build machine and must be of
# the library's version; a cross build names them by DX_PROTOC and DX_GRPC_CPP_PLUGIN.
include_guard()

# Conan's packages bring a configuration; Debian's protobuf is found by CMake's own module.
find_package(protobuf CONFIG QUIET)
if(NOT TARGET protobuf::libprotobuf)
  find_package(Protobuf REQUIRED)
endif()
find_package(gRPC CONFIG REQUIRED)

find_program(DX_PROTOC protoc REQUIRED)
find_program(DX_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

function(dx_add_proto target proto)
  set(root "${PROJECT_SOURCE_DIR}/proto")
  set(output "${CMAKE_CURRENT_BINARY_DIR}/generated")
  string(REGEX REPLACE "\\.proto$" "" stem "${output}/${proto}")
  set(sources "${stem}.pb.cc" "${stem}.grpc.pb.cc")
  file(MAKE_DIRECTORY "${output}")
  add_custom_command(
    OUTPUT ${sources} "${stem}.pb.h" "${stem}.grpc.pb.h"
    COMMAND "${DX_PROTOC}" "--proto_path=${root}" "--cpp_out=${output}" "--grpc_out=${output}"
            "--plugin=protoc-gen-grpc=${DX_GRPC_CPP_PLUGIN}" "${root}/${proto}"
    DEPENDS "${root}/${proto}"
    VERBATIM)
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC "${output}")
  target_link_libraries(${target} PUBLIC gRPC::grpc++_unsecure protobuf::libprotobuf)
  # Not our code; the compiler of the cross build warns of what was fine when it was written.
  target_compile_options(${target} PRIVATE -w)
endfunction()
