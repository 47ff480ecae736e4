#include "agent/store/uses.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "agent/files/files.h"

namespace dx {

std::time_t next_use(const WorkFolder& work) {
  std::time_t time = std::time(nullptr);
  for (const std::string& folder : {work.store(), work.prepared()}) {
    for (const std::string& name : list_folder(folder)) {
      struct stat status{};
      const std::string path = folder + "/" + name;
      if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      time = std::max<std::time_t>(time, status.st_mtime + 1);
    }
  }
  return time;
}

void set_use(const std::string& path, std::time_t time) {
  const struct timespec at{time, 0};
  const struct timespec times[2] = {at, at};
  static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), times, 0));
}

}  // namespace dx
