#include "workers/core/worker_main.h"
#include "workers/tensorrt/tensorrt_model.h"

int main(int argc, char** argv) {
  dx::TensorrtRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
