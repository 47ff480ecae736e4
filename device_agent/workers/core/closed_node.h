// The files by which a user's programs reach an accelerator.
#pragma once

#include <string>
#include <vector>

namespace dx {

// The first of these device nodes that is there and that this user may not open; "" for none.
std::string closed_node(const std::vector<std::string>& nodes);

}  // namespace dx
