#include "common/memory.h"

#include <features.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace dx {

void give_memory_back() {
#ifdef __GLIBC__
  static_cast<void>(::malloc_trim(0));
#endif
}

}  // namespace dx
