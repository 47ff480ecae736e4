// When contents were used: in the times of their files.
#pragma once

#include <ctime>
#include <string>

#include "agent/files/work_folder.h"

namespace dx {

// A time for what is used now: one second on from the newest before, or now where that is later, so
// that a clock in 1970 does no harm.
std::time_t next_use(const WorkFolder& work);

// Gives the file that time. A file system that keeps no times only loses the order.
void set_use(const std::string& path, std::time_t time);

}  // namespace dx
