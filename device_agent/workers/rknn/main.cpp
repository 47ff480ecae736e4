#include "workers/core/worker_main.h"
#include "workers/rknn/rknn_model.h"

int main(int argc, char** argv) {
  dx::RknnRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
