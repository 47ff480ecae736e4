#include <dlfcn.h>
#include <openvino/c/openvino.h>
#include <stdio.h>
#include <string.h>

typedef ov_status_e (*GetVersion)(ov_version_t*);

// The libraries are loaded by their path, as the worker does; the header must fit them.
int main(int argc, char** argv) {
  if (argc != 3) return 1;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  GetVersion get = NULL;
  void* found = dlsym(library, "ov_get_openvino_version");
  memcpy(&get, &found, sizeof get);
  ov_version_t version;
  if (get == NULL || get(&version) != OK) return 3;
  printf("%s\n", version.buildNumber);
  return strncmp(version.buildNumber, argv[2], strlen(argv[2])) == 0 ? 0 : 4;
}
