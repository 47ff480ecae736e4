#include "onnxruntime_facts.h"
#include "workers/core/worker_main.h"
#include "workers/onnxruntime/onnx_model.h"

int main(int argc, char** argv) {
  dx::OnnxRuntime runtime(dx::onnxruntime_worker::kFacts);
  return dx::worker_main(runtime, argc, argv);
}
