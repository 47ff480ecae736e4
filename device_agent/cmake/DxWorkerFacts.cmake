# dx_worker_facts(TARGET FILE): writes <name>_facts.h from a worker's worker.json, whose "name" that is,
# and lets TARGET and who links it include it. The header holds dx::<name>_worker::kFacts.
include_guard()

# The text as a C++ literal.
function(_dx_literal variable text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  set(${variable} "\"${text}\"" PARENT_SCOPE)
endfunction()

# A member of an object; the default where it has none.
function(_dx_member variable object name default)
  string(JSON value ERROR_VARIABLE missing GET "${object}" "${name}")
  if(missing)
    set(value "${default}")
  endif()
  set(${variable} "${value}" PARENT_SCOPE)
endfunction()

# The word that C++ has for it.
function(_dx_bool variable value)
  if(value)
    set(${variable} true PARENT_SCOPE)
  else()
    set(${variable} false PARENT_SCOPE)
  endif()
endfunction()

# The members of an array of texts with | between them.
function(_dx_joined variable array)
  set(joined "")
  string(JSON count LENGTH "${array}")
  if(count GREATER 0)
    math(EXPR last "${count} - 1")
    foreach(i RANGE ${last})
      string(JSON value GET "${array}" ${i})
      list(APPEND joined "${value}")
    endforeach()
  endif()
  list(JOIN joined "|" joined)
  set(${variable} "${joined}" PARENT_SCOPE)
endfunction()

# One row of the table of options.
function(_dx_option_row variable option)
  string(JSON name GET "${option}" name)
  string(JSON kind GET "${option}" kind)
  string(JSON help GET "${option}" help)
  _dx_member(usual "${option}" default "")
  _dx_member(values "${option}" values "[]")
  _dx_member(range "${option}" range "[0, 0]")
  _dx_member(remakes "${option}" remakes OFF)
  _dx_bool(remakes "${remakes}")
  _dx_member(only_runs "${option}" only_runs OFF)
  _dx_bool(only_runs "${only_runs}")
  string(JSON minimum GET "${range}" 0)
  string(JSON maximum GET "${range}" 1)
  set(kinds switch kSwitch number kNumber choice kChoice text kText)
  list(FIND kinds "${kind}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "option ${name}: the kind '${kind}' is not switch, number, choice or text")
  endif()
  math(EXPR at "${at} + 1")
  list(GET kinds ${at} kind)
  _dx_joined(values "${values}")
  foreach(text name values usual help)
    _dx_literal(${text} "${${text}}")
  endforeach()
  set(values "${values}, ${minimum}, ${maximum}")
  set(${variable}
    "    {${name}, OptionKind::${kind}, ${values}, ${usual}, ${help}, ${remakes}, ${only_runs}},\n"
    PARENT_SCOPE)
endfunction()

function(dx_worker_facts target file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(READ "${file}" facts)
  string(JSON name GET "${facts}" name)
  string(JSON count LENGTH "${facts}" options)
  _dx_member(prepares "${facts}" prepares OFF)
  set(rows "")
  if(count GREATER 0)
    math(EXPR last "${count} - 1")
    foreach(i RANGE ${last})
      string(JSON option GET "${facts}" options ${i})
      _dx_option_row(row "${option}")
      string(APPEND rows "${row}")
    endforeach()
  endif()
  _dx_bool(prepares "${prepares}")
  if(rows)
    set(options "inline constexpr OptionFact kOptions[] = {\n${rows}};\n")
    set(first kOptions)
  else()
    set(options "")
    set(first nullptr)
  endif()
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/facts")
  file(CONFIGURE OUTPUT "${folder}/${name}_facts.h" @ONLY CONTENT [[
// Made from worker.json by DxWorkerFacts.cmake.
#pragma once

#include "workers/core/facts.h"

namespace dx::@name@_worker {

@options@inline constexpr WorkerFacts kFacts{"@name@", @prepares@, @first@, @count@};

}  // namespace dx::@name@_worker
]])
  target_include_directories(${target} PUBLIC "${folder}")
endfunction()
