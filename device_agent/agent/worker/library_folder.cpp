#include "agent/worker/library_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/files/files.h"
#include "agent/files/unique_fd.h"

namespace dx {
namespace {

constexpr std::size_t kMaxNameBytes = 100;
constexpr std::size_t kCopyStep = std::size_t{1} << 18;

bool is_name_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') ||
         std::string_view("._+-").find(letter) != std::string_view::npos;
}

// 0 or the errno of what failed.
int copy_file(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.valid()) return errno;
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700));
  if (!target.valid()) return errno;
  std::string buffer(kCopyStep, '\0');
  for (;;) {
    const ssize_t got = ::read(source.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    const auto block = std::string_view(buffer).substr(0, static_cast<std::size_t>(got));
    if (const int error = write_fully(target.get(), block); error != 0) return error;
  }
}

int lay_one(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return 0;
  return copy_file(from, to);
}

}  // namespace

bool is_library_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), is_name_letter);
}

Result<std::shared_ptr<const LibraryFolder>> LibraryFolder::lay(
    std::string path, const std::vector<Library>& libraries) {
  const auto cannot = [&path](int error) {
    return Failure{FailureCode::kInternal,
                   "cannot lay the worker's libraries into " + path + ": " + errno_text(error) +
                       "; look at the disk of the work folder",
                   Phase::kSpawn};
  };
  if (::mkdir(path.c_str(), 0700) != 0) return cannot(errno);
  const std::shared_ptr<const LibraryFolder> folder(new LibraryFolder(path));
  for (const Library& library : libraries) {
    const int error = lay_one(library.content, folder->path_of(library.name));
    if (error != 0) return cannot(error);
  }
  return folder;
}

LibraryFolder::~LibraryFolder() {
  // What stays behind goes with the session's folder.
  static_cast<void>(remove_tree(path_));
}

}  // namespace dx
