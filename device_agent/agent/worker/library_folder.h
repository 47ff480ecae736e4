// The shared libraries of one worker, under their names in a folder of their own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dx {

struct Library {
  std::string name;     // REQUIRES: is_library_name()
  std::string content;  // the path of what it holds
};

// True for 1 to 100 letters, digits and ._+- that do not begin with a dot: safe as a file name.
bool is_library_name(std::string_view name);

class LibraryFolder {
 public:
  // Makes `path` and lays the libraries there: as hard links, or copied where the file system has
  // none. REQUIRES: nothing is at `path`.
  static Result<std::shared_ptr<const LibraryFolder>> lay(std::string path,
                                                          const std::vector<Library>& libraries);

  LibraryFolder(const LibraryFolder&) = delete;
  LibraryFolder& operator=(const LibraryFolder&) = delete;
  // Removes it and all in it; a process that has a library open keeps that.
  ~LibraryFolder();

  std::string path_of(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit LibraryFolder(std::string path) : path_(std::move(path)) {}

  const std::string path_;
};

}  // namespace dx
