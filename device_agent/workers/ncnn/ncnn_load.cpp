// Loading a .param and a .bin, and finding what the model takes and gives.
#include <layer.h>
#include <net.h>
#include <platform.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "common/text.h"
#include "workers/ncnn/ncnn_model.h"
#include "workers/ncnn/ncnn_options.h"
#include "workers/ncnn/operator.h"
#include "workers/ncnn/tensor_mats.h"
#include "workers/ncnn/weight_reader.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string with_code(const std::string& what, int code) {
  return what + " (code " + std::to_string(code) + "; the worker's log says where)";
}

}  // namespace

std::string NcnnRuntime::version() const { return NCNN_VERSION_STRING; }

std::vector<std::string> NcnnRuntime::features() const {
  if (has_vulkan()) return {"vulkan"};
  return {};
}

Result<std::unique_ptr<Model>> NcnnRuntime::load(const Load& request) {
  try {
    return NcnnModel::load(request);
  } catch (const std::exception& error) {
    return refuse(std::string("ncnn failed to load the model: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> NcnnModel::load(const Load& request) {
  const std::string param = path_of(request, "param");
  const std::string bin = path_of(request, "bin");
  if (param.empty() || bin.empty()) {
    return Failure{FailureCode::kInvalidRequest,
                   "an ncnn model is a file of role 'param' and one of role 'bin'", Phase::kLoad};
  }
  std::unique_ptr<NcnnModel> model(new NcnnModel());
  if (Status status = apply_options(request.options, model->net_.opt); !status) {
    return status.failure();
  }
  if (Status status = model->load_files(param, bin); !status) return status.failure();
  if (Status status = model->find_inputs(); !status) return status.failure();
  if (Status status = model->find_outputs(request.outputs); !status) return status.failure();
  model->mark_needed_layers();
  model->describe();
  return std::unique_ptr<Model>(std::move(model));
}

Status NcnnModel::load_files(const std::string& param, const std::string& bin) {
  Result<ParamFile> params = read_param_file(param, knows_layer_type);
  if (!params) return params.failure();
  params_ = std::move(params).value();
  WeightReader reader(bin);
  if (!reader.is_open()) return refuse(bin + ": the .bin cannot be opened");

  register_operators(net_);
  const auto start = std::chrono::steady_clock::now();
  if (const int code = net_.load_param(param.c_str()); code != 0) {
    return refuse(with_code(param + ": ncnn refused the .param", code));
  }
  if (Status able = check_int8(param); !able) return able;
  const int code = net_.load_model(reader);
  const auto took = std::chrono::steady_clock::now() - start;
  info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();

  // A code of 0 proves nothing and another one says little: the file's length comes first.
  const std::optional<std::string> misfit = reader.misfit();
  if (misfit && (code == 0 || reader.ended_early())) return refuse(bin + ": " + *misfit);
  if (code != 0) return refuse(with_code(bin + ": ncnn refused the weights", code));
  if (net_.layers().size() != params_.layers.size()) {
    return refuse(param + ": ncnn found " + std::to_string(net_.layers().size()) +
                  " layers where the lines hold " + std::to_string(params_.layers.size()));
  }
  return {};
}

// Without int8 inference ncnn would read the codes of an int8 layer's weights as floats.
Status NcnnModel::check_int8(const std::string& param) const {
  if (net_.opt.use_int8_inference) return {};
  for (const ncnn::Layer* layer : net_.layers()) {
    if (layer->support_int8_storage) {
      return refuse(param + ": the weights of '" + layer->name +
                    "' are int8, which int8_inference=off cannot compute with");
    }
  }
  return {};
}

Status NcnnModel::find_inputs() {
  for (std::size_t i = 0; i < params_.layers.size(); ++i) {
    if (params_.layers[i].type != "Input") continue;
    for (const int blob : net_.layers()[i]->tops) {
      const std::string& name = net_.blobs()[static_cast<std::size_t>(blob)].name;
      inputs_.push_back({name, blob, declared_dims(params_.layers[i])});
    }
  }
  if (inputs_.empty()) return refuse("the .param has no Input layer: nothing can be fed to it");
  return {};
}

Status NcnnModel::find_outputs(const std::vector<std::string>& names) {
  const std::vector<ncnn::Blob>& blobs = net_.blobs();
  std::vector<std::string> wanted = names;
  if (wanted.empty()) {
    for (const int blob : net_.output_indexes()) {
      wanted.push_back(blobs[static_cast<std::size_t>(blob)].name);
    }
  }
  if (wanted.empty()) return refuse("the .param has no output: every blob is consumed");
  for (const std::string& name : wanted) {
    const auto found = std::find_if(blobs.begin(), blobs.end(),
                                    [&](const ncnn::Blob& blob) { return blob.name == name; });
    if (found == blobs.end() || found->producer < 0) {
      std::vector<std::string> known;
      for (const ncnn::Blob& blob : blobs) known.push_back(blob.name);
      return refuse("no blob is named '" + printable(name, 80) + "'; the model has " +
                    list_text(known));
    }
    outputs_.push_back({name, static_cast<int>(found - blobs.begin()), dims_of(found->shape)});
  }

  // Taking a later blob may use up an earlier one, so they are taken in the order of their layers.
  for (std::size_t i = 0; i < outputs_.size(); ++i) output_order_.push_back(i);
  std::sort(output_order_.begin(), output_order_.end(), [&](std::size_t a, std::size_t b) {
    return blobs[static_cast<std::size_t>(outputs_[a].blob)].producer <
           blobs[static_cast<std::size_t>(outputs_[b].blob)].producer;
  });
  return {};
}

void NcnnModel::mark_needed_layers() {
  needed_.assign(net_.layers().size(), false);
  const auto need = [this](int blob) {
    const int producer = net_.blobs()[static_cast<std::size_t>(blob)].producer;
    if (producer >= 0) needed_[static_cast<std::size_t>(producer)] = true;
  };
  for (const Port& output : outputs_) need(output.blob);
  // A layer's inputs come from earlier layers, so one way back is enough.
  for (std::size_t i = needed_.size(); i-- > 0;) {
    if (!needed_[i]) continue;
    for (const int blob : net_.layers()[i]->bottoms) need(blob);
  }
}

TensorInfo NcnnModel::info_of(const Port& port) {
  TensorInfo info;
  info.name = port.name;
  if (!port.dims.empty()) info.dims = port.dims;
  return info;
}

void NcnnModel::describe() {
  for (const Port& port : inputs_) info_.inputs.push_back(info_of(port));
  for (const Port& port : outputs_) info_.outputs.push_back(info_of(port));
  info_.threads = static_cast<std::uint32_t>(net_.opt.num_threads);
}

}  // namespace dx
