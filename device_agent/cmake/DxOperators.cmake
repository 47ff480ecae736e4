# dx_operators(TARGET RUNTIME): compiles ops/<name>/<RUNTIME>.cpp of every operator that has one into
# TARGET, and writes <RUNTIME>_operators.inc, a line DX_OPERATOR(name) for each.
#
# DX_OPERATORS names the folders of operators. The name of a folder is the wiring: nothing is
# edited to add one.
include_guard()

set(DX_OPERATORS "${PROJECT_SOURCE_DIR}/../ops" CACHE STRING "Folders of operators, with ; between")
find_package(Python3 COMPONENTS Interpreter REQUIRED)
set(DX_OPERATOR_FACTS "${CMAKE_BINARY_DIR}/operators")

foreach(operators IN LISTS DX_OPERATORS)
  file(GLOB facts CONFIGURE_DEPENDS "${operators}/*/op.toml")
  set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${facts})
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/operator_facts.py"
      "${operators}" "${DX_OPERATOR_FACTS}"
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()

function(dx_operators target runtime)
  set(rows "")
  foreach(operators IN LISTS DX_OPERATORS)
    file(GLOB sources CONFIGURE_DEPENDS "${operators}/*/${runtime}.cpp")
    foreach(source IN LISTS sources)
      get_filename_component(folder "${source}" DIRECTORY)
      get_filename_component(name "${folder}" NAME)
      string(APPEND rows "DX_OPERATOR(${name})\n")
    endforeach()
    target_sources(${target} PRIVATE ${sources})
    # Of these files alone: another folder of a user's compiles nothing else anew.
    list(GET DX_OPERATORS 0 own)
    set_property(SOURCE ${sources} APPEND PROPERTY INCLUDE_DIRECTORIES "${operators}" "${own}")
  endforeach()
  file(CONFIGURE OUTPUT "${DX_OPERATOR_FACTS}/${runtime}_operators.inc" CONTENT "${rows}")
  target_include_directories(${target} PRIVATE "${DX_OPERATOR_FACTS}")
endfunction()

# dx_device_code(TARGET NAME SOURCE): compiles kernels for GPUs and lets TARGET include <NAME>_device.h.
# No compiler of NVIDIA's is needed; DX_PTXAS names assemblers of theirs that spare a board the
# translation at the first load.
set(DX_PTXAS "" CACHE STRING "NVIDIA's assemblers (ptxas), with ; between; may be empty")

function(dx_device_code target name source)
  set(script "${PROJECT_SOURCE_DIR}/cmake/device_code.py")
  set(header "${DX_OPERATOR_FACTS}/${name}_device.h")
  set(words "${name}" "${source}" "${header}" --include "${PROJECT_SOURCE_DIR}")
  foreach(operators IN LISTS DX_OPERATORS)
    list(APPEND words --include "${operators}")
  endforeach()
  foreach(program IN LISTS DX_PTXAS)
    list(APPEND words --ptxas "${program}")
  endforeach()
  if(DX_BUILD_TESTS)
    list(APPEND words --stand-in)
  endif()
  add_custom_command(OUTPUT "${header}"
    COMMAND "${Python3_EXECUTABLE}" "${script}" ${words}
    DEPENDS "${script}" "${source}" DEPFILE "${header}.d" VERBATIM)
  target_sources(${target} PRIVATE "${header}")
  target_include_directories(${target} PRIVATE "${DX_OPERATOR_FACTS}")
endfunction()

# The operators that have kernels for GPUs.
function(dx_device_names variable)
  set(names "")
  foreach(operators IN LISTS DX_OPERATORS)
    file(GLOB kernels CONFIGURE_DEPENDS "${operators}/*/kernel.cu")
    foreach(kernel IN LISTS kernels)
      get_filename_component(folder "${kernel}" DIRECTORY)
      get_filename_component(name "${folder}" NAME)
      list(APPEND names "${name}")
    endforeach()
  endforeach()
  set(${variable} "${names}" PARENT_SCOPE)
endfunction()

# dx_host_kernels(TARGET SOURCE): writes for SOURCE device_operators.inc, a line DX_OPERATOR(name) for each
# operator with kernels for GPUs, and device_kernels.inc, which includes what is launched and how.
function(dx_host_kernels target source)
  dx_device_names(names)
  set(rows "")
  set(includes "")
  foreach(name IN LISTS names)
    string(APPEND rows "DX_OPERATOR(${name})\n")
    string(APPEND includes "#include \"${name}/device.h\"\n#include \"${name}_facts.h\"\n")
  endforeach()
  file(CONFIGURE OUTPUT "${DX_OPERATOR_FACTS}/device_operators.inc" CONTENT "${rows}")
  file(CONFIGURE OUTPUT "${DX_OPERATOR_FACTS}/device_kernels.inc" CONTENT "${includes}")
  target_include_directories(${target} PRIVATE "${DX_OPERATOR_FACTS}")
  set_property(SOURCE "${source}" APPEND PROPERTY INCLUDE_DIRECTORIES ${DX_OPERATORS})
endfunction()

# dx_device_operators(TARGET RUNTIME): dx_operators(), and the kernels for GPUs of the same folders.
function(dx_device_operators target runtime)
  dx_operators(${target} ${runtime})
  dx_device_names(names)
  foreach(operators IN LISTS DX_OPERATORS)
    foreach(name IN LISTS names)
      if(EXISTS "${operators}/${name}/${runtime}.cpp")
        dx_device_code(${target} ${name} "${operators}/${name}/kernel.cu")
      endif()
    endforeach()
  endforeach()
endfunction()
