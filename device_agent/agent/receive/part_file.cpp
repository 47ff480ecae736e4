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
constexpr std::size_t kHashStep = std::size_t{1} << 18;
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

bool is_shared_name(const std::string& name) {
  return name.size() == 64 + kSuffix.size() && is_sha256(std::string_view(name).substr(0, 64));
}

}  // namespace

PartFile::PartFile(UniqueFd fd, std::string path, bool is_private, std::uint64_t size)
    : fd_(std::move(fd)), path_(std::move(path)), is_private_(is_private), size_(size) {}

PartFile::~PartFile() {
  if (fd_.valid() && is_private_) drop();
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
  if (open_locked(path, 0, fd, size) != 0) return std::nullopt;
  if (size == 0 || size > content.size) return std::nullopt;
  return PartFile(std::move(fd), path, false, size);
}

ReceiveOutcome PartFile::create(const WorkFolder& work, const Content& content,
                                std::optional<PartFile>& part) {
  std::string path = shared_path(work, content);
  UniqueFd fd;
  std::uint64_t size = 0;
  int error = open_locked(path, O_CREAT, fd, size);
  if (error == 0 && (size == 0 || ::ftruncate(fd.get(), 0) == 0)) {
    part = PartFile(std::move(fd), std::move(path), false, 0);
    return std::nullopt;
  }
  // Somebody else holds it, or this file system has no locks: a part of our own.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    path = work.incoming() + "/" + content.sha256 + "." + std::to_string(::getpid()) + "-" +
           std::to_string(attempt) + std::string(kSuffix);
    fd.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    error = fd.valid() ? 0 : errno;
    if (error == EEXIST) continue;
    if (error != 0) break;
    // Without the lock a starting push may take this for a dead one and remove it.
    struct stat status{};
    static_cast<void>(::flock(fd.get(), LOCK_EX | LOCK_NB));
    if (!is_same_file(fd.get(), path, status)) continue;
    part = PartFile(std::move(fd), std::move(path), true, 0);
    return std::nullopt;
  }
  return receive_error_of(error, "cannot make " + path);
}

ReceiveOutcome PartFile::hash_present_bytes() {
  std::vector<char> buffer(kHashStep);
  std::uint64_t done = 0;
  while (done < size_) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kHashStep, size_ - done));
    const ssize_t got = ::pread(fd_.get(), buffer.data(), wanted, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return receive_error_of(got < 0 ? errno : EIO, "cannot read " + path_);
    hash_.update(buffer.data(), static_cast<std::size_t>(got));
    done += static_cast<std::uint64_t>(got);
  }
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
  if (size_ - flushed_ >= kFlushStep) {
    // A hint only: where it is refused, the fsync does the whole work.
    static_cast<void>(::sync_file_range(fd_.get(), static_cast<off_t>(flushed_),
                                        static_cast<off_t>(size_ - flushed_),
                                        SYNC_FILE_RANGE_WRITE));
    flushed_ = size_;
  }
  return std::nullopt;
}

ReceiveOutcome PartFile::commit(const WorkFolder& work, const Content& content) {
  if (const std::string found = hash_.hex_digest(); found != content.sha256) {
    drop();
    return ReceiveError{ReceiveCode::kCorrupt, "what arrived for " + content.sha256 +
                                                   " has the sha256 " + found +
                                                   "; it was dropped, push again"};
  }
  const std::string target = work.content(content.sha256);
  const bool kept = ::fchmod(fd_.get(), content.executable ? 0755 : 0644) == 0 &&
                    ::fsync(fd_.get()) == 0 && std::rename(path_.c_str(), target.c_str()) == 0;
  if (!kept) {
    const ReceiveError failure = receive_error_of(errno, "cannot keep " + target);
    if (failure.code == ReceiveCode::kNoSpace) drop();
    return failure;
  }
  fd_.reset();
  return std::nullopt;
}

void remove_dead_private_parts(const WorkFolder& work) {
  for (const std::string& name : list_folder(work.incoming())) {
    if (is_shared_name(name)) continue;
    const std::string path = work.incoming() + "/" + name;
    UniqueFd fd;
    std::uint64_t size = 0;
    if (open_locked(path, 0, fd, size) == 0) std::remove(path.c_str());
  }
}

}  // namespace dx
