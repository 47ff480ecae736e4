#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>
#include <string>

#include "agent/files/files.h"

namespace dx::test {

// A folder of its own, removed with all it holds at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    // In memory where there is such a place: these tests fsync thousands of times.
    char in_memory[] = "/dev/shm/dx-agent-test-XXXXXX";
    char on_disk[] = "/tmp/dx-agent-test-XXXXXX";
    const char* made = ::mkdtemp(in_memory);
    if (made == nullptr) made = ::mkdtemp(on_disk);
    REQUIRE(made != nullptr);
    path_ = made;
  }
  ~TemporaryFolder() { CHECK(remove_tree(path_) == 0); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

  // Writes a file, making its folders; gives its path.
  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/" + name;
    REQUIRE(make_folders(path.substr(0, path.rfind('/'))) == 0);
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::string read(const std::string& name) const {
    std::ostringstream content;
    content << std::ifstream(path_ + "/" + name, std::ios::binary).rdbuf();
    return content.str();
  }

 private:
  std::string path_;
};

}  // namespace dx::test
