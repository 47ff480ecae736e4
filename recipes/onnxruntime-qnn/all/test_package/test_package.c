#include <dlfcn.h>
#include <stdio.h>

// The libraries are loaded by their paths, as the worker does, and have what it asks them for.
int main(int argc, char** argv) {
  static const char* const kParts[][2] = {{"libonnxruntime_providers_qnn.so", "CreateEpFactories"},
                                          {"libQnnHtp.so", "QnnInterface_getProviders"}};
  if (argc != 2) return 1;
  for (int i = 0; i < 2; ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", argv[1], kParts[i][0]);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
    if (dlsym(library, kParts[i][1]) == NULL) return 3;
    printf("%s has %s\n", kParts[i][0], kParts[i][1]);
  }
  return 0;
}
