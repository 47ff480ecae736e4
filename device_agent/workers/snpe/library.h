// Qualcomm's library, opened when a model comes: it travels with the worker, from the SDK that the
// worker was compiled with.
#pragma once

#include <DiagLog/IDiagLog.h>
#include <DlContainer/DlContainer.h>
#include <DlSystem/DlEnums.h>
#include <DlSystem/DlError.h>
#include <DlSystem/DlVersion.h>
#include <DlSystem/IBufferAttributes.h>
#include <DlSystem/IUserBuffer.h>
#include <DlSystem/RuntimeList.h>
#include <DlSystem/StringList.h>
#include <DlSystem/TensorShape.h>
#include <DlSystem/UserBufferMap.h>
#include <SNPE/SNPE.h>
#include <SNPE/SNPEBuilder.h>
#include <SNPE/SNPEUtil.h>

#include <memory>
#include <string>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// The functions that are called, by their own names.
struct SnpeApi {
#define DX_SNPE_FUNCTIONS(X)                    \
  X(Snpe_DlContainer_Delete)                    \
  X(Snpe_DlContainer_Open)                      \
  X(Snpe_DlVersion_Delete)                      \
  X(Snpe_DlVersion_ToString)                    \
  X(Snpe_ErrorCode_GetLastErrorString)          \
  X(Snpe_IBufferAttributes_Delete)              \
  X(Snpe_IBufferAttributes_GetDims)             \
  X(Snpe_IBufferAttributes_GetEncodingType)     \
  X(Snpe_IDiagLog_GetOptions)                   \
  X(Snpe_IDiagLog_SetOptions)                   \
  X(Snpe_IDiagLog_Start)                        \
  X(Snpe_IDiagLog_Stop)                         \
  X(Snpe_IUserBuffer_Delete)                    \
  X(Snpe_Options_Delete)                        \
  X(Snpe_Options_SetLogFileDirectory)           \
  X(Snpe_RuntimeList_Add)                       \
  X(Snpe_RuntimeList_Create)                    \
  X(Snpe_RuntimeList_Delete)                    \
  X(Snpe_SNPEBuilder_Build)                     \
  X(Snpe_SNPEBuilder_Create)                    \
  X(Snpe_SNPEBuilder_Delete)                    \
  X(Snpe_SNPEBuilder_SetOutputTensors)          \
  X(Snpe_SNPEBuilder_SetPerformanceProfile)     \
  X(Snpe_SNPEBuilder_SetProfilingLevel)         \
  X(Snpe_SNPEBuilder_SetRuntimeProcessorOrder)  \
  X(Snpe_SNPEBuilder_SetUseUserSuppliedBuffers) \
  X(Snpe_SNPE_Delete)                           \
  X(Snpe_SNPE_ExecuteUserBuffers)               \
  X(Snpe_SNPE_GetDiagLogInterface_Ref)          \
  X(Snpe_SNPE_GetInputOutputBufferAttributes)   \
  X(Snpe_SNPE_GetInputTensorNames)              \
  X(Snpe_SNPE_GetOutputTensorNames)             \
  X(Snpe_StringList_Append)                     \
  X(Snpe_StringList_At)                         \
  X(Snpe_StringList_Create)                     \
  X(Snpe_StringList_Delete)                     \
  X(Snpe_StringList_Size)                       \
  X(Snpe_TensorShape_CreateDimsSize)            \
  X(Snpe_TensorShape_Delete)                    \
  X(Snpe_TensorShape_GetDimensions)             \
  X(Snpe_TensorShape_Rank)                      \
  X(Snpe_UserBufferEncodingFloat_Create)        \
  X(Snpe_UserBufferEncodingFloat_Delete)        \
  X(Snpe_UserBufferMap_Add)                     \
  X(Snpe_UserBufferMap_Create)                  \
  X(Snpe_UserBufferMap_Delete)                  \
  X(Snpe_Util_AddOpPackage)                     \
  X(Snpe_Util_CreateUserBuffer)                 \
  X(Snpe_Util_GetLibraryVersion)                \
  X(Snpe_Util_IsRuntimeAvailable)
#define DX_DECLARE(name) decltype(&::name) name = nullptr;
  DX_SNPE_FUNCTIONS(DX_DECLARE)
#undef DX_DECLARE
};

// Whatever the interface makes is a handle that is given back to the function of its kind.
using Handle = std::unique_ptr<void, Snpe_ErrorCode_t (*)(void*)>;

// "2.39.0", of the SDK that this worker was compiled with.
std::string compiled_version();

class Library {
 public:
  // Opens what came along with the worker, once; it stays open until the process ends. Fails, in a
  // sentence, where it is missing, lacks a function, or is of another version.
  static Result<const Library*> open(const Load& request);

  const SnpeApi& api() const { return api_; }
  // "2.39.0".
  const std::string& version() const { return version_; }

  // `what` with what the library says of its last error.
  Failure failure(const std::string& what) const;

 private:
  friend Result<Library> open_library(const Load& request);

  SnpeApi api_;
  std::string version_;
};

}  // namespace dx
