#include "nn/host_memory.h"

#include <climits>
#include <malloc.h>

namespace mdl::nn
{

// Other C libraries than glibc have no such switch; there nothing happens.
void host_memory_keep()
{
#ifdef __GLIBC__
    mallopt(M_MMAP_MAX, 0); // large blocks from the heap, where they can be used again
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

void host_memory_release()
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

} // namespace mdl::nn
