#include "workers/core/closed_node.h"

#include <unistd.h>

#include <algorithm>

namespace dx {

std::string closed_node(const std::vector<std::string>& nodes) {
  // With the rights that opening goes by, not those of who started the program.
  const auto is_closed = [](const std::string& node) {
    return ::eaccess(node.c_str(), F_OK) == 0 && ::eaccess(node.c_str(), R_OK | W_OK) != 0;
  };
  const auto found = std::find_if(nodes.begin(), nodes.end(), is_closed);
  return found == nodes.end() ? "" : *found;
}

}  // namespace dx
