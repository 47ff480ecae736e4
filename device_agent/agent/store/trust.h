// Who may change what lies in the work folder: its own user and root, and nobody else.
#pragma once

#include <optional>
#include <string>

#include "agent/files/work_folder.h"

namespace dx {

// Why another user could change the file or folder, in a few words that begin with its path; empty
// where none could, or nothing is there. A link is looked at itself and where it leads.
std::optional<std::string> why_untrusted(const std::string& path);

// The same of the work folder itself, which may be open to all where it is sticky: what lies in it
// can be removed by its owner only, and is looked at by itself.
std::optional<std::string> why_untrusted(const WorkFolder& work);

}  // namespace dx
