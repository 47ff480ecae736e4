#include "workers/core/worker_main.h"
#include "workers/ncnn/ncnn_model.h"

int main(int argc, char** argv) {
  dx::NcnnRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
