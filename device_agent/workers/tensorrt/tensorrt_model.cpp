#include "workers/tensorrt/tensorrt_model.h"

#include <utility>

namespace dx {

Status TensorrtModel::set_inputs(const std::vector<Tensor>& inputs) {
  if (Status status = streams_.front()->set_inputs(inputs); !status) return status;
  return streams_.front()->wait("an input does not reach the GPU");
}

Result<std::int64_t> TensorrtModel::run() {
  if (Status status = streams_.front()->start(); !status) return status.failure();
  return streams_.front()->finish();
}

Result<std::vector<Tensor>> TensorrtModel::outputs() const { return streams_.front()->outputs(); }

Status TensorrtModel::start(const std::vector<Tensor>& inputs) {
  StreamRuns& stream = *streams_[next_];
  if (Status status = stream.set_inputs(inputs); !status) return status;
  if (Status status = stream.start(); !status) return status;
  going_.push_back(next_);
  next_ = (next_ + 1) % streams_.size();
  return {};
}

Result<Finished> TensorrtModel::finish() {
  StreamRuns& stream = *streams_[going_.front()];
  going_.pop_front();
  Result<std::int64_t> ns = stream.finish();
  if (!ns) return ns.failure();
  Result<std::vector<Tensor>> outputs = stream.outputs();
  if (!outputs) return outputs.failure();
  return Finished{ns.value(), std::move(outputs).value()};
}

Result<std::vector<LayerRun>> TensorrtModel::run_layers() {
  Result<std::vector<LayerTimings>> samples = streams_.front()->time_layers();
  if (!samples) return samples.failure();
  std::vector<LayerRun> layers;
  for (const LayerTimings& times : samples.value()) {
    const std::vector<LayerRun> told = layers_of(described(), times);
    if (layers.empty()) {
      layers = told;
      continue;
    }
    for (std::size_t i = 0; i < layers.size() && i < told.size(); ++i) layers[i].ns += told[i].ns;
  }
  return layers;
}

const std::vector<LayerRun>& TensorrtModel::described() {
  if (!described_.empty()) return described_;
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
  if (!inspector) return described_;
  (void)inspector->setExecutionContext(&streams_.front()->context());
  for (std::int32_t i = 0; i < engine_->getNbLayers(); ++i) {
    const char* const told =
        inspector->getLayerInformation(i, nvinfer1::LayerInformationFormat::kJSON);
    described_.push_back(described_layer(told == nullptr ? "" : told, wants_dla_));
  }
  return described_;
}

}  // namespace dx
