// A file of incoming/ that grows until it holds one content, then becomes that content.
//
// The shared part `<sha256>.part` outlives a broken push and is resumed at its end. Its lock is
// held as long as it is written: a second push of the same content at the same time writes a
// private part instead, so that neither disturbs the other. Whoever renames last wins, with the
// same bytes.
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

namespace dx {

class PartFile {
 public:
  // The shared part that an earlier push left, locked; empty where there is none to resume.
  static std::optional<PartFile> resume(const WorkFolder& work, const Content& content);

  // A part of no bytes: the shared one where nobody else writes it, else a private one.
  static ReceiveOutcome create(const WorkFolder& work, const Content& content,
                               std::optional<PartFile>& part);

  PartFile(PartFile&&) = default;
  PartFile& operator=(PartFile&&) = default;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  // Drops a private part that did not become a content: nobody could resume it.
  ~PartFile();

  std::uint64_t size() const { return size_; }

  // Hashes what an earlier push left. REQUIRES: called once, before the first append.
  ReceiveOutcome hash_present_bytes();

  // Takes the next bytes. A full disk drops the part: it must not stay full of halves.
  ReceiveOutcome append(std::string_view bytes);

  // Checks the hash, makes the file last and renames it into the store. A wrong hash drops the
  // part: a new push starts at byte 0.
  ReceiveOutcome commit(const WorkFolder& work, const Content& content);

 private:
  PartFile(UniqueFd fd, std::string path, bool is_private, std::uint64_t size);
  void drop();

  UniqueFd fd_;
  std::string path_;
  bool is_private_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t flushed_ = 0;
  Sha256 hash_;
};

// Removes the private parts of pushes that died.
void remove_dead_private_parts(const WorkFolder& work);

}  // namespace dx
