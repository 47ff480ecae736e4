#include "workers/core/worker_main.h"
#include "workers/snpe/snpe_model.h"

int main(int argc, char** argv) {
  dx::SnpeRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
