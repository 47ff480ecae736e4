// The one folder on the board that holds everything of ours (see docs/architecture.md).
#pragma once

#include <string>

namespace dx {

struct WorkFolder {
  std::string path;

  std::string store() const { return path + "/store"; }
  std::string incoming() const { return path + "/incoming"; }
  std::string bundles() const { return path + "/bundles"; }
  std::string sessions() const { return path + "/sessions"; }
  std::string lease() const { return path + "/lease"; }
  std::string prepared() const { return path + "/prepared"; }
  std::string programs() const { return path + "/bin"; }
  std::string verified() const { return path + "/verified"; }

  // REQUIRES: is_sha256(sha256).
  std::string content(const std::string& sha256) const { return store() + "/" + sha256; }
};

}  // namespace dx
