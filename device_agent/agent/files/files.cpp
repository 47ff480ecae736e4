#include "agent/files/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "agent/files/unique_fd.h"

namespace dx {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::vector<std::string> names_in(DIR* folder) {
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

int remove_at(int parent, const char* name) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  const Folder folder(::fdopendir(fd));
  if (!folder) {
    const int error = errno;
    ::close(fd);
    return error;
  }
  for (const std::string& inner : names_in(folder.get())) {
    if (const int error = remove_at(fd, inner.c_str()); error != 0) return error;
  }
  return ::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

std::optional<std::string> read_from(int fd, off_t offset, std::size_t limit) {
  std::string bytes;
  char buffer[4096];
  while (bytes.size() < limit) {
    const std::size_t wanted = std::min(sizeof buffer, limit - bytes.size());
    const ssize_t got = ::pread(fd, buffer, wanted, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    bytes.append(buffer, static_cast<std::size_t>(got));
    offset += got;
  }
  return bytes;
}

}  // namespace

int make_folders(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos;
       end = path.find('/', end + 1)) {
    const std::string parent = path.substr(0, end);
    if (::mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
      return errno;
  }
  if (::mkdir(path.c_str(), 0700) == 0) return 0;
  const int error = errno;
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
  return error;
}

int remove_tree(const std::string& path) { return remove_at(AT_FDCWD, path.c_str()); }

int sync_folder(const std::string& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return errno;
  // Some file systems cannot sync a folder; theirs is then as lasting as it gets.
  return ::fsync(folder.get()) == 0 || errno == EINVAL ? 0 : errno;
}

int write_fully(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

std::optional<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return std::nullopt;
  return read_from(file.get(), 0, limit);
}

std::optional<std::string> read_file_end(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return std::nullopt;
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) return std::nullopt;
  const off_t offset = std::max<off_t>(0, size - static_cast<off_t>(limit));
  return read_from(file.get(), offset, limit);
}

std::vector<std::string> list_folder(const std::string& path) {
  const Folder folder(::opendir(path.c_str()));
  if (!folder) return {};
  std::vector<std::string> names = names_in(folder.get());
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::uint64_t> free_bytes(const std::string& path) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) return std::nullopt;
  return std::uint64_t{status.f_bavail} * std::uint64_t{status.f_frsize};
}

std::string errno_text(int error) { return std::strerror(error); }

}  // namespace dx
