// Which contents of the store were hashed, and how their files looked then: a file of the same
// size, time of change and inode is not hashed again.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>

#include "agent/files/work_folder.h"

namespace dx {

// The file `verified` of the work folder. Not thread-safe; several processes may each have one:
// what the last of them writes counts, and a lost line only means that a content is hashed again.
class Verified {
 public:
  // Reads the file. What cannot be read, or belongs to somebody else, counts as empty.
  explicit Verified(const WorkFolder& work);

  // True where the content was hashed while its file looked as `status` says.
  bool holds(const std::string& sha256, const struct stat& status) const;

  void put(const std::string& sha256, const struct stat& status);
  void forget(const std::string& sha256);

  // Writes the file if anything has changed. A disk that takes nothing only costs another hash.
  void save();

 private:
  struct Look {
    std::uint64_t size = 0;
    std::int64_t changed_ns = 0;
    std::uint64_t inode = 0;

    bool operator==(const Look& other) const {
      return size == other.size && changed_ns == other.changed_ns && inode == other.inode;
    }
  };

  static Look look_of(const struct stat& status);

  const WorkFolder work_;
  std::map<std::string, Look> looks_;
  bool is_changed_ = false;
};

}  // namespace dx
