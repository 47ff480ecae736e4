// Functions of ONNX Runtime's interface that came after the header of the packages (API 21).
//
// They are read from the library's own table: it only ever grows, each function keeps its place,
// and a library of another version than the build's is refused before one of them is called. The
// header of a user's archive may have them: then their places are held against it.
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

#if ORT_API_VERSION >= 24
#define DX_IS_AT(name, place) \
  static_assert(offsetof(OrtApi, name) == (place) * sizeof(void*), #name " is elsewhere")
DX_IS_AT(RegisterExecutionProviderLibrary, 301);
DX_IS_AT(GetEpDevices, 303);
DX_IS_AT(SessionOptionsAppendExecutionProvider_V2, 304);
DX_IS_AT(EpDevice_EpName, 312);
DX_IS_AT(Session_GetEpGraphAssignmentInfo, 407);
DX_IS_AT(EpAssignedSubgraph_GetEpName, 408);
DX_IS_AT(EpAssignedSubgraph_GetNodes, 409);
DX_IS_AT(EpAssignedNode_GetName, 410);
DX_IS_AT(EpAssignedNode_GetOperatorType, 412);
#undef DX_IS_AT
#endif

}  // namespace dx::later
