#include "workers/core/worker_main.h"
#include "workers/openvino/openvino_model.h"

int main(int argc, char** argv) {
  dx::OpenvinoRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
