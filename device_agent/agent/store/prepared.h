// What was made of models on this board: files prepared/<key>.<sha256 of their content>. The key
// names all that such a file depends on.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/files/work_folder.h"
#include "common/result.h"

namespace dx {

// The sha256 of these names and values, whatever their order is.
std::string prepared_key(std::vector<std::pair<std::string, std::string>> facts);

// The file of that key, which counts as used now. One that is not what its name says, as it was
// damaged, is removed and not given; so is nothing that another user could have changed.
std::optional<std::string> find_prepared(const WorkFolder& work, const std::string& key);

// Moves a file of the same file system to its place, once all of it is on the disk.
Status keep_prepared(const WorkFolder& work, const std::string& key, const std::string& path);

}  // namespace dx
