// Functions of ONNX Runtime's interface that came after the header that is compiled with (API 21).
//
// They are read from the library's own table: it only ever grows, each function keeps its place,
// and a library of another version than the package's is refused before one of them is called.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstring>

namespace dx::later {

struct EpDevice;
struct EpPart;  // nodes that a provider computes
struct EpNode;

template <class Function, std::size_t kPlace>
struct Entry {
  static_assert(kPlace * sizeof(Function) >= sizeof(OrtApi), "the header has this function");

  template <class... Values>
  static auto call(const OrtApi& api, Values... values) {
    Function function = nullptr;
    const auto* const table = reinterpret_cast<const char*>(&api);
    std::memcpy(&function, table + kPlace * sizeof function, sizeof function);
    return function(values...);
  }
};

using RegisterExecutionProviderLibrary =
    Entry<OrtStatus*(ORT_API_CALL*)(OrtEnv*, const char* name, const char* path), 301>;
using GetEpDevices =
    Entry<OrtStatus*(ORT_API_CALL*)(const OrtEnv*, const EpDevice* const**, std::size_t*), 303>;
using AppendExecutionProvider =
    Entry<OrtStatus*(ORT_API_CALL*)(OrtSessionOptions*, OrtEnv*, const EpDevice* const* devices,
                                    std::size_t, const char* const* keys, const char* const* values,
                                    std::size_t),
          304>;
using DeviceEpName = Entry<const char*(ORT_API_CALL*)(const EpDevice*), 312>;
using SessionParts =
    Entry<OrtStatus*(ORT_API_CALL*)(const OrtSession*, const EpPart* const**, std::size_t*), 407>;
using PartEpName = Entry<OrtStatus*(ORT_API_CALL*)(const EpPart*, const char**), 408>;
using PartNodes =
    Entry<OrtStatus*(ORT_API_CALL*)(const EpPart*, const EpNode* const**, std::size_t*), 409>;
using NodeName = Entry<OrtStatus*(ORT_API_CALL*)(const EpNode*, const char**), 410>;
using NodeOperator = Entry<OrtStatus*(ORT_API_CALL*)(const EpNode*, const char**), 412>;

}  // namespace dx::later
