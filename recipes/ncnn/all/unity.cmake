# Read by ncnn's project(): layers are compiled eight in one, because nearly all of the time of
# most of them goes into the same headers. CMake's own UNITY_BUILD leaves out files that have
# flags of their own, as those for newer instruction sets have; here whoever has the same flags
# is joined. Apart stay layers for every processor from those for one kind of it, which have the
# same static names, and what this names.
set(alone
    # These compile long by themselves.
    "/(arm|riscv|x86)/(binaryop|convolution|deconvolution|gemm|innerproduct|permute|sdpa)_"
    # "sigmoid", as another has it; with another version of ncnn the compiler names the new ones.
    "/layer/yolov3detectionoutput[.]cpp$")

# Write numbered files that include the sources, eight each, and compile those instead. Their
# paths are relative: ccache shall not see Conan's folder, which is another for each build.
function(join sources group flags)
  set(folder "${CMAKE_BINARY_DIR}/joined")
  set(number 0)
  while(sources)
    list(SUBLIST sources 0 8 batch)
    list(REMOVE_ITEM sources ${batch})
    set(lines "")
    foreach(source IN LISTS batch)
      file(RELATIVE_PATH path "${folder}" "${source}")
      string(APPEND lines "#include \"${path}\"\n")
    endforeach()
    set(joined "${folder}/${group}_${number}.cpp")
    file(CONFIGURE OUTPUT "${joined}" CONTENT "${lines}" @ONLY)
    target_sources(ncnn PRIVATE "${joined}")
    set_source_files_properties("${joined}" TARGET_DIRECTORY ncnn PROPERTIES COMPILE_FLAGS "${flags}")
    set_source_files_properties(${batch} TARGET_DIRECTORY ncnn PROPERTIES HEADER_FILE_ONLY ON)
    math(EXPR number "${number} + 1")
  endwhile()
endfunction()

function(join_layers)
  get_target_property(sources ncnn SOURCES)
  list(FILTER sources INCLUDE REGEX "/layer/.*[.]cpp$")
  foreach(pattern IN LISTS alone)
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()
  foreach(source IN LISTS sources)
    get_source_file_property(flags "${source}" TARGET_DIRECTORY ncnn COMPILE_FLAGS)
    if(NOT flags)
      set(flags "")
    endif()
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME kind)
    string(MAKE_C_IDENTIFIER "${kind}${flags}" group)
    list(APPEND groups "${group}")
    list(APPEND ${group}_sources "${source}")
    set(${group}_flags "${flags}")
  endforeach()
  list(REMOVE_DUPLICATES groups)
  foreach(group IN LISTS groups)
    join("${${group}_sources}" "${group}" "${${group}_flags}")
  endforeach()
endfunction()

# ncnn's target is known at the end of its CMakeLists.txt.
cmake_language(DEFER CALL join_layers)
