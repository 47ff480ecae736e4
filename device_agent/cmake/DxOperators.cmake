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
    target_include_directories(${target} PRIVATE "${operators}")
  endforeach()
  file(CONFIGURE OUTPUT "${DX_OPERATOR_FACTS}/${runtime}_operators.inc" CONTENT "${rows}")
  target_include_directories(${target} PRIVATE "${DX_OPERATOR_FACTS}")
endfunction()
