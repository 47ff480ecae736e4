#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <string.h>

typedef const OrtApiBase* (*GetApiBase)(void);

// The library is loaded by its path, as the worker does; the header must fit it.
int main(int argc, char** argv) {
  if (argc != 3) return 1;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  GetApiBase get = NULL;
  void* found = dlsym(library, "OrtGetApiBase");
  memcpy(&get, &found, sizeof get);
  if (get == NULL || get()->GetApi(ORT_API_VERSION) == NULL) return 3;
  printf("onnxruntime %s, API %d\n", get()->GetVersionString(), ORT_API_VERSION);
  return strcmp(get()->GetVersionString(), argv[2]) == 0 ? 0 : 4;
}
