// Memory that nobody uses any more, and the kernel.
#pragma once

namespace dx {

// Where the C library keeps what was freed (glibc does), it goes back to the kernel. Takes
// milliseconds, so not while anything is measured.
void give_memory_back();

}  // namespace dx
