#include "agent/receive/room.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <unordered_set>
#include <vector>

#include "agent/files/files.h"
#include "agent/store/uses.h"

namespace dx {
namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;

struct OldFile {
  std::string path;
  std::string name;
  std::uint64_t bytes = 0;
  std::time_t used = 0;
};

std::vector<OldFile> files_in(const std::string& folder) {
  std::vector<OldFile> files;
  for (const std::string& name : list_folder(folder)) {
    const std::string path = folder + "/" + name;
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    files.push_back({path, name, static_cast<std::uint64_t>(status.st_size), status.st_mtime});
  }
  return files;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Lists name their contents by hash; one that names a removed content is no longer whole.
void remove_lists_of(const WorkFolder& work, const std::unordered_set<std::string>& removed) {
  for (const OldFile& list : files_in(work.bundles())) {
    const std::string text = read_file(list.path, kMaxListBytes).value_or("");
    const bool broken = std::any_of(removed.begin(), removed.end(), [&](const std::string& hash) {
      return text.find(hash) != std::string::npos;
    });
    if (broken) static_cast<void>(::unlink(list.path.c_str()));
  }
}

}  // namespace

void make_room(const WorkFolder& work, const Manifest& manifest, std::uint64_t missing,
               std::uint64_t keep_bytes, const std::string& program) {
  std::unordered_set<std::string> wanted;
  for (const Content& content : manifest.contents) wanted.insert(content.sha256);
  std::uint64_t held = missing;
  std::vector<OldFile> old;
  for (const auto& folder : {work.store(), work.incoming(), work.programs(), work.prepared()}) {
    for (OldFile& file : files_in(folder)) {
      held += file.bytes;
      const bool needed =
          wanted.count(file.name.substr(0, kHashDigits)) > 0 || file.name == file_name(program);
      if (!needed) old.push_back(std::move(file));
    }
  }
  std::sort(old.begin(), old.end(),
            [](const OldFile& a, const OldFile& b) { return a.used < b.used; });
  std::uint64_t free = free_bytes(work.path).value_or(0);
  std::unordered_set<std::string> removed;
  for (const OldFile& file : old) {
    if (held <= keep_bytes && missing <= free) break;
    if (::unlink(file.path.c_str()) != 0) continue;
    removed.insert(file.name);
    held -= file.bytes;
    free += file.bytes;
  }
  if (!removed.empty()) remove_lists_of(work, removed);
}

void mark_used(const WorkFolder& work, const Manifest& manifest, Verified& verified) {
  const std::time_t now = next_use(work);
  for (const Content& content : manifest.contents) {
    const std::string path = work.content(content.sha256);
    struct stat status{};
    const bool was_verified =
        ::stat(path.c_str(), &status) == 0 && verified.holds(content.sha256, status);
    set_use(path, now);
    if (was_verified && ::stat(path.c_str(), &status) == 0) verified.put(content.sha256, status);
  }
}

}  // namespace dx
