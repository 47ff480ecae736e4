// An ONNX model that ONNX Runtime's C library computes, for libraries that stand in for makers'
// ones: all inputs and outputs are float32 of fixed shapes. It needs nothing of ours, so that a
// stand-in is compiled for a board of any architecture in a few seconds.
#pragma once

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "words.h"

namespace dx::stand_in {

struct Computed {
  std::string name;
  std::vector<std::int64_t> dims;

  std::size_t elements() const {
    std::size_t count = 1;
    for (const std::int64_t dim : dims) count *= static_cast<std::size_t>(dim);
    return count;
  }
};

using Floats = std::map<std::string, std::vector<float>>;

class Computes {
 public:
  // Nothing where ONNX Runtime is not there or refuses the model; `why` says so. The word
  // "onnxruntime" names its library, which lies elsewhere on a board than here.
  static std::unique_ptr<Computes> open(const std::string& model, std::string& why) {
    const OrtApi* const api = find_api(why);
    if (api == nullptr) return nullptr;
    std::unique_ptr<Computes> made(new Computes(*api));
    if (made->create(model, why) && made->describe(why)) return made;
    return nullptr;
  }

  ~Computes() {
    if (session_ != nullptr) api_.ReleaseSession(session_);
    if (options_ != nullptr) api_.ReleaseSessionOptions(options_);
    if (environment_ != nullptr) api_.ReleaseEnv(environment_);
  }

  Computes(const Computes&) = delete;
  Computes& operator=(const Computes&) = delete;

  const std::vector<Computed>& inputs() const { return inputs_; }
  const std::vector<Computed>& outputs() const { return outputs_; }

  // All outputs. REQUIRES: each input holds as many floats as its dims say.
  bool run(const Floats& given, Floats& found, std::string& why) const {
    std::vector<const char*> names;
    std::vector<const char*> wanted;
    std::vector<OrtValue*> tensors;
    std::vector<OrtValue*> answers(outputs_.size(), nullptr);
    bool is_fine = true;
    for (const Computed& input : inputs_) {
      const std::vector<float>& values = given.at(input.name);
      names.push_back(input.name.c_str());
      tensors.push_back(nullptr);
      is_fine =
          is_fine && passes(api_.CreateTensorWithDataAsOrtValue(
                                memory(), const_cast<float*>(values.data()),
                                values.size() * sizeof(float), input.dims.data(), input.dims.size(),
                                ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &tensors.back()),
                            why);
    }
    for (const Computed& output : outputs_) wanted.push_back(output.name.c_str());
    is_fine =
        is_fine && passes(api_.Run(session_, nullptr, names.data(), tensors.data(), tensors.size(),
                                   wanted.data(), wanted.size(), answers.data()),
                          why);
    for (std::size_t i = 0; is_fine && i < outputs_.size(); ++i) {
      void* data = nullptr;
      is_fine = passes(api_.GetTensorMutableData(answers[i], &data), why);
      if (!is_fine) break;
      const auto* const values = static_cast<const float*>(data);
      found[outputs_[i].name].assign(values, values + outputs_[i].elements());
    }
    for (const std::vector<OrtValue*>* const all : {&tensors, &answers}) {
      for (OrtValue* const value : *all) {
        if (value != nullptr) api_.ReleaseValue(value);
      }
    }
    return is_fine;
  }

 private:
  explicit Computes(const OrtApi& api) : api_(api) {}

  static const OrtApi* find_api(std::string& why) {
    (void)::setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    const std::string path = word("onnxruntime").value_or(DX_ONNXRUNTIME_LIBRARY);
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* const found = library == nullptr ? nullptr : ::dlsym(library, "OrtGetApiBase");
    if (found == nullptr) {
      const char* const said = ::dlerror();
      why = said == nullptr ? path + " is not ONNX Runtime" : said;
      return nullptr;
    }
    const OrtApiBase* (*base)() = nullptr;
    std::memcpy(&base, &found, sizeof base);
    const OrtApi* const api = base()->GetApi(ORT_API_VERSION);
    if (api == nullptr) why = path + " is older than its header";
    return api;
  }

  // Whether a call succeeded.
  bool passes(OrtStatus* status, std::string& why) const {
    if (status == nullptr) return true;
    why = api_.GetErrorMessage(status);
    api_.ReleaseStatus(status);
    return false;
  }

  bool create(const std::string& model, std::string& why) {
    return passes(api_.CreateEnv(ORT_LOGGING_LEVEL_FATAL, "stand-in", &environment_), why) &&
           passes(api_.CreateSessionOptions(&options_), why) &&
           passes(api_.SetIntraOpNumThreads(options_, 1), why) &&
           passes(api_.CreateSessionFromArray(environment_, model.data(), model.size(), options_,
                                              &session_),
                  why);
  }

  bool describe(std::string& why) {
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    bool is_fine = passes(api_.SessionGetInputCount(session_, &inputs), why) &&
                   passes(api_.SessionGetOutputCount(session_, &outputs), why);
    for (std::size_t i = 0; is_fine && i < inputs; ++i) {
      is_fine = add(inputs_, api_.SessionGetInputName, api_.SessionGetInputTypeInfo, i, why);
    }
    for (std::size_t i = 0; is_fine && i < outputs; ++i) {
      is_fine = add(outputs_, api_.SessionGetOutputName, api_.SessionGetOutputTypeInfo, i, why);
    }
    return is_fine;
  }

  template <class Name, class Type>
  bool add(std::vector<Computed>& all, Name name_of, Type type_of, std::size_t index,
           std::string& why) const {
    OrtAllocator* allocator = nullptr;
    char* name = nullptr;
    OrtTypeInfo* type = nullptr;
    if (!passes(api_.GetAllocatorWithDefaultOptions(&allocator), why) ||
        !passes(name_of(session_, index, allocator, &name), why)) {
      return false;
    }
    Computed made{name, {}};
    (void)passes(api_.AllocatorFree(allocator, name), why);
    if (!passes(type_of(session_, index, &type), why)) return false;
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    std::size_t axes = 0;
    bool is_fine = passes(api_.CastTypeInfoToTensorInfo(type, &tensor), why) &&
                   passes(api_.GetDimensionsCount(tensor, &axes), why);
    made.dims.resize(axes);
    is_fine = is_fine && passes(api_.GetDimensions(tensor, made.dims.data(), axes), why);
    api_.ReleaseTypeInfo(type);
    all.push_back(std::move(made));
    return is_fine;
  }

  const OrtMemoryInfo* memory() const {
    OrtAllocator* allocator = nullptr;
    const OrtMemoryInfo* told = nullptr;
    std::string why;
    (void)passes(api_.GetAllocatorWithDefaultOptions(&allocator), why);
    (void)passes(api_.AllocatorGetInfo(allocator, &told), why);
    return told;
  }

  const OrtApi& api_;
  OrtEnv* environment_ = nullptr;
  OrtSessionOptions* options_ = nullptr;
  OrtSession* session_ = nullptr;
  std::vector<Computed> inputs_;
  std::vector<Computed> outputs_;
};

}  // namespace dx::stand_in
