// OpenVINO's shared libraries: loaded by their paths, spoken to by their C interface.
#pragma once

#include <openvino/c/openvino.h>

#include <memory>
#include <string>

#include "common/result.h"

namespace dx {

// The version that this worker was built for.
std::string pinned_version();

// The names of the files of the C interface, and of what computes, as they travel with the worker.
std::string library_name();
std::string plugin_name();

// The functions that are called, by their own names.
struct OpenvinoApi {
#define DX_OPENVINO_FUNCTIONS(X)               \
  X(ov_compiled_model_create_infer_request)    \
  X(ov_compiled_model_export_model)            \
  X(ov_compiled_model_free)                    \
  X(ov_compiled_model_get_property)            \
  X(ov_compiled_model_input_by_index)          \
  X(ov_compiled_model_input_by_name)           \
  X(ov_compiled_model_output_by_index)         \
  X(ov_compiled_model_output_by_name)          \
  X(ov_core_compile_model_props)               \
  X(ov_core_create_with_config)                \
  X(ov_core_free)                              \
  X(ov_core_import_model)                      \
  X(ov_core_read_model_from_memory_buffer)     \
  X(ov_core_set_properties)                    \
  X(ov_free)                                   \
  X(ov_get_error_info)                         \
  X(ov_get_last_err_msg)                       \
  X(ov_get_openvino_version)                   \
  X(ov_infer_request_free)                     \
  X(ov_infer_request_get_profiling_info)       \
  X(ov_infer_request_get_tensor_by_const_port) \
  X(ov_infer_request_infer)                    \
  X(ov_infer_request_set_tensor_by_const_port) \
  X(ov_model_free)                             \
  X(ov_output_const_port_free)                 \
  X(ov_partial_shape_free)                     \
  X(ov_port_get_element_type)                  \
  X(ov_port_get_partial_shape)                 \
  X(ov_profiling_info_list_free)               \
  X(ov_shape_free)                             \
  X(ov_tensor_create)                          \
  X(ov_tensor_data)                            \
  X(ov_tensor_free)                            \
  X(ov_tensor_get_element_type)                \
  X(ov_tensor_get_size)                        \
  X(ov_tensor_get_shape)                       \
  X(ov_version_free)
#define DX_DECLARE(name) decltype(&::name) name = nullptr;
  DX_OPENVINO_FUNCTIONS(DX_DECLARE)
#undef DX_DECLARE
};

// Owns an object of the library.
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

class Library {
 public:
  // Loads the libraries and compares their version. They stay loaded until the process ends.
  static Result<const Library*> open(const std::string& path);

  const OpenvinoApi& api() const { return api_; }

  // A core that knows the plugin at that path, and nothing else that computes.
  Result<Owned<ov_core_t>> make_core(const std::string& plugin) const;

  // `what` is the beginning of the sentence.
  Status check(ov_status_e status, const std::string& what) const;

 private:
  OpenvinoApi api_;
};

}  // namespace dx
