// Stands in for the headers of Qualcomm's SDK in tests: the functions of SNPE 2's C interface that
// the worker calls, by the names and parameters that Qualcomm's public reference gives them.
// Nothing of the SDK is copied; numbers of enumerators are of no meaning, as tests compile both
// sides with this file. Handles made or returned are the caller's to delete, those of a _Ref
// function are not.
#pragma once

#include <cstddef>

using Snpe_DlContainer_Handle_t = void*;
using Snpe_DlVersion_Handle_t = void*;
using Snpe_IBufferAttributes_Handle_t = void*;
using Snpe_IDiagLog_Handle_t = void*;
using Snpe_IUserBuffer_Handle_t = void*;
using Snpe_Options_Handle_t = void*;
using Snpe_RuntimeList_Handle_t = void*;
using Snpe_SNPEBuilder_Handle_t = void*;
using Snpe_SNPE_Handle_t = void*;
using Snpe_StringList_Handle_t = void*;
using Snpe_TensorShape_Handle_t = void*;
using Snpe_UserBufferEncoding_Handle_t = void*;
using Snpe_UserBufferMap_Handle_t = void*;

enum Snpe_ErrorCode_t { SNPE_SUCCESS, SNPE_ERRORCODE_INTERNAL };

enum Snpe_Runtime_t {
  SNPE_RUNTIME_CPU,
  SNPE_RUNTIME_GPU,
  SNPE_RUNTIME_DSP,
  SNPE_RUNTIME_GPU_FLOAT16,
  SNPE_RUNTIME_AIP_FIXED8_TF,
};

enum Snpe_PerformanceProfile_t {
  SNPE_PERFORMANCE_PROFILE_DEFAULT,
  SNPE_PERFORMANCE_PROFILE_BALANCED,
  SNPE_PERFORMANCE_PROFILE_HIGH_PERFORMANCE,
  SNPE_PERFORMANCE_PROFILE_POWER_SAVER,
  SNPE_PERFORMANCE_PROFILE_SYSTEM_SETTINGS,
  SNPE_PERFORMANCE_PROFILE_SUSTAINED_HIGH_PERFORMANCE,
  SNPE_PERFORMANCE_PROFILE_BURST,
  SNPE_PERFORMANCE_PROFILE_LOW_POWER_SAVER,
  SNPE_PERFORMANCE_PROFILE_HIGH_POWER_SAVER,
  SNPE_PERFORMANCE_PROFILE_LOW_BALANCED,
  SNPE_PERFORMANCE_PROFILE_EXTREME_POWERSAVER,
};

enum Snpe_ProfilingLevel_t { SNPE_PROFILING_LEVEL_OFF, SNPE_PROFILING_LEVEL_DETAILED };

enum Snpe_UserBufferEncoding_ElementType_t {
  SNPE_USERBUFFERENCODING_ELEMENTTYPE_UNKNOWN,
  SNPE_USERBUFFERENCODING_ELEMENTTYPE_FLOAT,
  SNPE_USERBUFFERENCODING_ELEMENTTYPE_TF8,
  SNPE_USERBUFFERENCODING_ELEMENTTYPE_TF16,
  SNPE_USERBUFFERENCODING_ELEMENTTYPE_INT32,
};

extern "C" {
const char* Snpe_ErrorCode_GetLastErrorString();

Snpe_DlVersion_Handle_t Snpe_Util_GetLibraryVersion();
const char* Snpe_DlVersion_ToString(Snpe_DlVersion_Handle_t version);
Snpe_ErrorCode_t Snpe_DlVersion_Delete(Snpe_DlVersion_Handle_t version);

int Snpe_Util_IsRuntimeAvailable(Snpe_Runtime_t runtime);
int Snpe_Util_AddOpPackage(const char* library);
Snpe_IUserBuffer_Handle_t Snpe_Util_CreateUserBuffer(void* buffer, size_t size,
                                                     Snpe_TensorShape_Handle_t strides,
                                                     Snpe_UserBufferEncoding_Handle_t encoding);
Snpe_ErrorCode_t Snpe_IUserBuffer_Delete(Snpe_IUserBuffer_Handle_t buffer);
Snpe_UserBufferEncoding_Handle_t Snpe_UserBufferEncodingFloat_Create();
Snpe_ErrorCode_t Snpe_UserBufferEncodingFloat_Delete(Snpe_UserBufferEncoding_Handle_t encoding);
Snpe_UserBufferMap_Handle_t Snpe_UserBufferMap_Create();
Snpe_ErrorCode_t Snpe_UserBufferMap_Add(Snpe_UserBufferMap_Handle_t map, const char* name,
                                        Snpe_IUserBuffer_Handle_t buffer);
Snpe_ErrorCode_t Snpe_UserBufferMap_Delete(Snpe_UserBufferMap_Handle_t map);

Snpe_StringList_Handle_t Snpe_StringList_Create();
Snpe_ErrorCode_t Snpe_StringList_Append(Snpe_StringList_Handle_t list, const char* string);
size_t Snpe_StringList_Size(Snpe_StringList_Handle_t list);
const char* Snpe_StringList_At(Snpe_StringList_Handle_t list, size_t index);
Snpe_ErrorCode_t Snpe_StringList_Delete(Snpe_StringList_Handle_t list);

Snpe_TensorShape_Handle_t Snpe_TensorShape_CreateDimsSize(const size_t* dims, size_t size);
size_t Snpe_TensorShape_Rank(Snpe_TensorShape_Handle_t shape);
const size_t* Snpe_TensorShape_GetDimensions(Snpe_TensorShape_Handle_t shape);
Snpe_ErrorCode_t Snpe_TensorShape_Delete(Snpe_TensorShape_Handle_t shape);

Snpe_TensorShape_Handle_t Snpe_IBufferAttributes_GetDims(Snpe_IBufferAttributes_Handle_t told);
Snpe_UserBufferEncoding_ElementType_t Snpe_IBufferAttributes_GetEncodingType(
    Snpe_IBufferAttributes_Handle_t told);
Snpe_ErrorCode_t Snpe_IBufferAttributes_Delete(Snpe_IBufferAttributes_Handle_t told);

Snpe_RuntimeList_Handle_t Snpe_RuntimeList_Create();
Snpe_ErrorCode_t Snpe_RuntimeList_Add(Snpe_RuntimeList_Handle_t list, Snpe_Runtime_t runtime);
Snpe_ErrorCode_t Snpe_RuntimeList_Delete(Snpe_RuntimeList_Handle_t list);

Snpe_DlContainer_Handle_t Snpe_DlContainer_Open(const char* path);
Snpe_ErrorCode_t Snpe_DlContainer_Delete(Snpe_DlContainer_Handle_t container);

Snpe_SNPEBuilder_Handle_t Snpe_SNPEBuilder_Create(Snpe_DlContainer_Handle_t container);
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetRuntimeProcessorOrder(Snpe_SNPEBuilder_Handle_t builder,
                                                           Snpe_RuntimeList_Handle_t list);
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetOutputTensors(Snpe_SNPEBuilder_Handle_t builder,
                                                   Snpe_StringList_Handle_t names);
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetPerformanceProfile(Snpe_SNPEBuilder_Handle_t builder,
                                                        Snpe_PerformanceProfile_t profile);
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetProfilingLevel(Snpe_SNPEBuilder_Handle_t builder,
                                                    Snpe_ProfilingLevel_t level);
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetUseUserSuppliedBuffers(Snpe_SNPEBuilder_Handle_t builder,
                                                            int used);
Snpe_SNPE_Handle_t Snpe_SNPEBuilder_Build(Snpe_SNPEBuilder_Handle_t builder);
Snpe_ErrorCode_t Snpe_SNPEBuilder_Delete(Snpe_SNPEBuilder_Handle_t builder);

Snpe_StringList_Handle_t Snpe_SNPE_GetInputTensorNames(Snpe_SNPE_Handle_t network);
Snpe_StringList_Handle_t Snpe_SNPE_GetOutputTensorNames(Snpe_SNPE_Handle_t network);
Snpe_IBufferAttributes_Handle_t Snpe_SNPE_GetInputOutputBufferAttributes(Snpe_SNPE_Handle_t network,
                                                                         const char* name);
Snpe_ErrorCode_t Snpe_SNPE_ExecuteUserBuffers(Snpe_SNPE_Handle_t network,
                                              Snpe_UserBufferMap_Handle_t inputs,
                                              Snpe_UserBufferMap_Handle_t outputs);
Snpe_IDiagLog_Handle_t Snpe_SNPE_GetDiagLogInterface_Ref(Snpe_SNPE_Handle_t network);
Snpe_ErrorCode_t Snpe_SNPE_Delete(Snpe_SNPE_Handle_t network);

Snpe_Options_Handle_t Snpe_IDiagLog_GetOptions(Snpe_IDiagLog_Handle_t log);
Snpe_ErrorCode_t Snpe_IDiagLog_SetOptions(Snpe_IDiagLog_Handle_t log,
                                          Snpe_Options_Handle_t options);
Snpe_ErrorCode_t Snpe_IDiagLog_Start(Snpe_IDiagLog_Handle_t log);
Snpe_ErrorCode_t Snpe_IDiagLog_Stop(Snpe_IDiagLog_Handle_t log);
void Snpe_Options_SetLogFileDirectory(Snpe_Options_Handle_t options, const char* folder);
Snpe_ErrorCode_t Snpe_Options_Delete(Snpe_Options_Handle_t options);
}
