#include <cstring>

#include "workers/core/worker_main.h"
#include "workers/ncnn/blob_server.h"
#include "workers/ncnn/ncnn_model.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--blobs") == 0) return dx::serve_blobs();
  dx::NcnnRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
