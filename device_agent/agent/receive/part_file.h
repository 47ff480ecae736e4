// A file of incoming/ that grows until it holds one content, then becomes that content.
//
// The shared part `<sha256>.part` outlives a broken push and is resumed at its end. Its lock is
// held as long as it is written: a second push of the same content at the same time writes a
// private part instead, so that neither disturbs the other. Whoever renames last wins, with the
// same bytes. The receiver of a link that broke may hold the lock for a while (until it has read
// what was on its way, or for as long as a frozen link leaves it waiting), so a private part
// starts with a copy of what the shared one has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/crypto/sha256.h"
#include "agent/files/unique_fd.h"
#include "agent/files/work_folder.h"
#include "agent/receive/manifest.h"
#include "agent/receive/receive_error.h"
#include "agent/store/check.h"

namespace dx {

class PartFile {
 public:
  // What an earlier push left: the shared part, locked, or a private copy of it where somebody
  // holds the lock. Empty where there is nothing to resume.
  static std::optional<PartFile> resume(const WorkFolder& work, const Content& content);

  // A part of no bytes: the shared one where nobody else writes it, else a private one.
  static ReceiveOutcome create(const WorkFolder& work, const Content& content,
                               std::optional<PartFile>& part);

  PartFile(PartFile&&) = default;
  PartFile& operator=(PartFile&&) = default;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  // Drops a part that did not become a content and that nobody will resume: a private one, or one
  // whose content came by another push meanwhile.
  ~PartFile();

  std::uint64_t size() const { return size_; }

  // Hashes what an earlier push left and no copy of it has hashed. REQUIRES: called once, before
  // the first append of the host's bytes.
  ReceiveOutcome hash_present_bytes();

  // Takes the next bytes. A full disk drops the part: it must not stay full of halves.
  ReceiveOutcome append(std::string_view bytes);

  // Checks the hash of what arrived, makes the file last, hashes it once more as it lies on the
  // disk, and renames it into the store. A wrong hash drops the part: a new push starts at byte 0.
  // `progress` is told what is read; `verified` what was found good.
  ReceiveOutcome commit(const Content& content, Verified& verified, const HashProgress& progress);

 private:
  PartFile(UniqueFd fd, std::string path, std::string target, bool is_private, std::uint64_t size);

  static std::optional<PartFile> copy_of(int fd, const WorkFolder& work, const Content& content);
  // Gives 0 or the errno of what failed.
  static int create_private(const WorkFolder& work, const Content& content,
                            std::optional<PartFile>& part);
  // The hash of the file as it lies on the disk.
  ReceiveOutcome check_disk(const Content& content, Verified& verified,
                            const HashProgress& progress);
  ReceiveError failed_to_keep();
  ReceiveError corrupt(const std::string& text);
  void drop();

  UniqueFd fd_;
  std::string path_;
  std::string target_;  // the content's place in the store
  bool is_private_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t hashed_ = 0;
  std::uint64_t flushed_ = 0;
  Sha256 hash_;
};

// Removes the parts that nobody holds and nobody can resume: private ones of pushes that died, and
// shared ones whose content came by another push.
void remove_dead_parts(const WorkFolder& work);

}  // namespace dx
