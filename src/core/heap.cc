#include "core/heap.h"

#include <malloc.h>

namespace lorikeet {

void ReleaseFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace lorikeet
