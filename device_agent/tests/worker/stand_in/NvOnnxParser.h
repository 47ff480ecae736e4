// See NvInferRuntime.h: what reads ONNX.
#pragma once

#include "NvInfer.h"

#define NV_ONNX_PARSER_VERSION 1

namespace nvonnxparser {

class IParserError {
 public:
  virtual ~IParserError() = default;
  virtual const char* desc() const = 0;
  virtual int node() const = 0;
  virtual const char* nodeName() const = 0;
  virtual const char* nodeOperator() const = 0;
};

class IParser {
 public:
  virtual ~IParser() = default;
  virtual bool parse(const void* model, std::size_t size) noexcept = 0;
  virtual int getNbErrors() const noexcept = 0;
  virtual const IParserError* getError(int index) const noexcept = 0;
};

}  // namespace nvonnxparser

extern "C" void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version) noexcept;
