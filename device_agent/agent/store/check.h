// Whether a content of the store is what its name says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/files/work_folder.h"
#include "agent/store/verified.h"

namespace dx {

enum class ContentState {
  kGood,
  kMissing,
  kDamaged,    // another hash, no regular file, or bytes that the disk does not give any more
  kUntrusted,  // another user could change it; it stays where it is
  kStopped,    // the caller wanted no end of it
};

struct ContentFinding {
  ContentState state = ContentState::kMissing;
  std::string text;  // of one that is damaged or untrusted: what was found
};

// How thoroughly: a file that looks as it did when it was hashed is taken for good, or each is
// hashed as it lies on the disk.
enum class Thoroughness { kQuick, kFull };

// Told the number of bytes hashed since the last time; the hashing ends where it gives false.
using HashProgress = std::function<bool(std::uint64_t)>;

// The hash of the open file, from its first byte to its last; empty where it cannot be read or
// `progress` ended it. With `from_disk` the kernel is asked to read it anew.
std::string hash_file(int fd, bool from_disk, const HashProgress& progress);

// Looks at store/<sha256>, follows a link there, and notes a good one in `verified`.
// REQUIRES: is_sha256(sha256).
ContentFinding check_content(const WorkFolder& work, const std::string& sha256, Verified& verified,
                             Thoroughness thoroughness, const HashProgress& progress);

// Removes a content that is damaged, whatever lies there; the next push brings it.
void remove_content(const WorkFolder& work, const std::string& sha256, Verified& verified);

}  // namespace dx
