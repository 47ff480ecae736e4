#include <stdio.h>
#include <string.h>
#include <zlib.h>

int main(void) {
  const char text[] = "the same bytes there and back, there and back, there and back";
  unsigned char packed[128], unpacked[128];
  uLongf packed_size = sizeof packed, unpacked_size = sizeof unpacked;
  if (compress(packed, &packed_size, (const Bytef*)text, sizeof text) != Z_OK) return 1;
  if (uncompress(unpacked, &unpacked_size, packed, packed_size) != Z_OK) return 2;
  printf("zlib %s: %lu bytes in %lu\n", zlibVersion(), unpacked_size, packed_size);
  if (strcmp(zlibVersion(), "1.2.13") != 0) return 3;
  return unpacked_size == sizeof text && memcmp(unpacked, text, sizeof text) == 0 ? 0 : 4;
}
