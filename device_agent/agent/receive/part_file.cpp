#include "agent/receive/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "agent/files/files.h"

namespace dx {
namespace {

// The kernel starts to write back this much while the next bytes come, so that the fsync at the
// end has little left to do.
constexpr std::uint64_t kFlushStep = std::uint64_t{8} << 20;
constexpr std::size_t kReadStep = std::size_t{1} << 18;
constexpr int kAttempts = 16;
constexpr std::string_view kSuffix = ".part";

std::string shared_path(const WorkFolder& work, const Content& content) {
  return work.incoming() + "/" + content.sha256 + std::string(kSuffix);
}

// True where the path still leads to the file that we have open.
bool is_same_file(int fd, const std::string& path, struct stat& open_file) {
  struct stat at_path{};
  return ::fstat(fd, &open_file) == 0 && ::lstat(path.c_str(), &at_path) == 0 &&
         open_file.st_dev == at_path.st_dev && open_file.st_ino == at_path.st_ino;
}

// Opens and locks; gives an errno, EWOULDBLOCK where another push holds it. Between open and lock
// another push may have renamed the file away, hence the second look.
int open_locked(const std::string& path, int flags, UniqueFd& fd, std::uint64_t& size) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fd.reset(::open(path.c_str(), flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644));
    if (!fd.valid()) return errno;
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return errno;
    struct stat status{};
    if (!is_same_file(fd.get(), path, status)) continue;
    if (!S_ISREG(status.st_mode)) return EINVAL;
    size = static_cast<std::uint64_t>(status.st_size);
    return 0;
  }
  return EWOULDBLOCK;
}

bool is_there(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

// Gives the bytes of a file from `begin` to `end` to `take`, until that gives an error.
template <class Take>
ReceiveOutcome for_each_piece(int fd, std::uint64_t begin, std::uint64_t end, const Take& take) {
  std::vector<char> buffer(kReadStep);
  while (begin < end) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kReadStep, end - begin));
    const ssize_t got = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(begin));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return receive_error_of(got < 0 ? errno : EIO, "cannot read what arrived before");
    const auto size = static_cast<std::size_t>(got);
    if (auto error = take(std::string_view(buffer.data(), size))) return error;
    begin += size;
  }
  return std::nullopt;
}

bool is_shared_name(const std::string& name) {
  return name.size() == 64 + kSuffix.size() && is_sha256(std::string_view(name).substr(0, 64));
}

}  // namespace

PartFile::PartFile(UniqueFd fd, std::string path, std::string target, bool is_private,
                   std::uint64_t size)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      target_(std::move(target)),
      is_private_(is_private),
      size_(size) {}

PartFile::~PartFile() {
  if (fd_.valid() && (is_private_ || is_there(target_))) drop();
}

void PartFile::drop() {
  // The name goes before the lock does.
  std::remove(path_.c_str());
  fd_.reset();
}

std::optional<PartFile> PartFile::resume(const WorkFolder& work, const Content& content) {
  const std::string path = shared_path(work, content);
  UniqueFd fd;
  std::uint64_t size = 0;
  const int error = open_locked(path, 0, fd, size);
  if (error == EWOULDBLOCK && fd.valid()) return copy_of(fd.get(), work, content);
  if (error != 0 || size == 0 || size > content.size) return std::nullopt;
  return PartFile(std::move(fd), path, work.content(content.sha256), false, size);
}

// Bytes are only ever added to a part, so what it has now is good while its owner goes on.
std::optional<PartFile> PartFile::copy_of(int fd, const WorkFolder& work, const Content& content) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == 0 || size > content.size) return std::nullopt;
  std::optional<PartFile> part;
  if (create_private(work, content, part) != 0) return std::nullopt;
  const auto append = [&part](std::string_view bytes) { return part->append(bytes); };
  if (for_each_piece(fd, 0, size, append)) return std::nullopt;
  return part;
}

ReceiveOutcome PartFile::create(const WorkFolder& work, const Content& content,
                                std::optional<PartFile>& part) {
  std::string path = shared_path(work, content);
  UniqueFd fd;
  std::uint64_t size = 0;
  int error = open_locked(path, O_CREAT, fd, size);
  if (error == 0 && (size == 0 || ::ftruncate(fd.get(), 0) == 0)) {
    part = PartFile(std::move(fd), std::move(path), work.content(content.sha256), false, 0);
    return std::nullopt;
  }
  // Somebody else holds it, or this file system has no locks: a part of our own.
  error = create_private(work, content, part);
  if (error == 0) return std::nullopt;
  return receive_error_of(error, "cannot make a file in " + work.incoming());
}

int PartFile::create_private(const WorkFolder& work, const Content& content,
                             std::optional<PartFile>& part) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string path = work.incoming() + "/" + content.sha256 + "." + std::to_string(::getpid()) +
                       "-" + std::to_string(attempt) + std::string(kSuffix);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.valid() && errno != EEXIST) return errno;
    if (!fd.valid()) continue;
    // Without the lock a starting push may take this for a dead one and remove it.
    struct stat status{};
    static_cast<void>(::flock(fd.get(), LOCK_EX | LOCK_NB));
    if (!is_same_file(fd.get(), path, status)) continue;
    part = PartFile(std::move(fd), std::move(path), work.content(content.sha256), true, 0);
    return 0;
  }
  return EEXIST;
}

ReceiveOutcome PartFile::hash_present_bytes() {
  const auto hash = [this](std::string_view bytes) {
    hash_.update(bytes);
    return ReceiveOutcome();
  };
  if (auto error = for_each_piece(fd_.get(), hashed_, size_, hash)) return error;
  hashed_ = size_;
  if (::lseek(fd_.get(), static_cast<off_t>(size_), SEEK_SET) < 0) {
    return receive_error_of(errno, "cannot continue " + path_);
  }
  return std::nullopt;
}

ReceiveOutcome PartFile::append(std::string_view bytes) {
  if (const int error = write_fully(fd_.get(), bytes); error != 0) {
    const ReceiveError failure = receive_error_of(error, "cannot write " + path_);
    if (failure.code == ReceiveCode::kNoSpace) drop();
    return failure;
  }
  hash_.update(bytes);
  size_ += bytes.size();
  hashed_ = size_;
  if (size_ - flushed_ >= kFlushStep) {
    // A hint only: where it is refused, the fsync does the whole work.
    static_cast<void>(::sync_file_range(fd_.get(), static_cast<off_t>(flushed_),
                                        static_cast<off_t>(size_ - flushed_),
                                        SYNC_FILE_RANGE_WRITE));
    flushed_ = size_;
  }
  return std::nullopt;
}

ReceiveOutcome PartFile::commit(const Content& content, Verified& verified,
                                const HashProgress& progress) {
  if (const std::string found = hash_.hex_digest(); found != content.sha256) {
    return corrupt("what arrived for " + content.sha256 + " has the sha256 " + found);
  }
  if (::fchmod(fd_.get(), content.executable ? 0755 : 0644) != 0 || ::fsync(fd_.get()) != 0) {
    return failed_to_keep();
  }
  if (auto error = check_disk(content, verified, progress)) return error;
  if (std::rename(path_.c_str(), target_.c_str()) != 0) return failed_to_keep();
  fd_.reset();
  return std::nullopt;
}

ReceiveOutcome PartFile::check_disk(const Content& content, Verified& verified,
                                    const HashProgress& progress) {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return failed_to_keep();
  const std::string found = hash_file(fd_.get(), true, progress);
  if (found != content.sha256) {
    return corrupt("what the disk kept of " + content.sha256 +
                   (found.empty() ? " cannot be read" : " has the sha256 " + found));
  }
  verified.put(content.sha256, status);
  return std::nullopt;
}

ReceiveError PartFile::failed_to_keep() {
  const ReceiveError failure = receive_error_of(errno, "cannot keep " + target_);
  if (failure.code == ReceiveCode::kNoSpace) drop();
  return failure;
}

ReceiveError PartFile::corrupt(const std::string& text) {
  drop();
  return {ReceiveCode::kCorrupt, text + "; it was dropped, push again"};
}

void remove_dead_parts(const WorkFolder& work) {
  for (const std::string& name : list_folder(work.incoming())) {
    if (is_shared_name(name) && !is_there(work.content(name.substr(0, 64)))) continue;
    const std::string path = work.incoming() + "/" + name;
    UniqueFd fd;
    std::uint64_t size = 0;
    if (open_locked(path, 0, fd, size) == 0) std::remove(path.c_str());
  }
}

}  // namespace dx
