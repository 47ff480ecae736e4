// Makes an engine of an ONNX file on the board.
#pragma once

#include <memory>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/runtime.h"
#include "workers/tensorrt/library.h"

namespace dx {

// Parses the file of `request` and searches for the fastest layers; the engine, serialized. It
// takes minutes; `listener` is told how far it is, where TensorRT tells that (from version 10 on).
// REQUIRES: settle_options() of the request's options succeeded.
Result<std::unique_ptr<nvinfer1::IHostMemory>> build_engine(const Library& library,
                                                            const Load& request,
                                                            LoadListener& listener);

}  // namespace dx
