#include <ares.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  ares_channel channel;
  if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) return 1;
  if (ares_init(&channel) != ARES_SUCCESS) return 2;
  ares_destroy(channel);
  ares_library_cleanup();
  printf("c-ares %s\n", ares_version(NULL));
  return strcmp(ares_version(NULL), "1.18.1") == 0 ? 0 : 3;
}
