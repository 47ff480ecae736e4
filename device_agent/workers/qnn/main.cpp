#include "qnn_facts.h"
#include "workers/core/worker_main.h"
#include "workers/onnxruntime/onnx_model.h"
#include "workers/qnn/qnn_provider.h"

int main(int argc, char** argv) {
  const dx::QnnProvider provider;
  dx::OnnxRuntime runtime(dx::qnn_worker::kFacts, &provider);
  return dx::worker_main(runtime, argc, argv);
}
