#include "common/processors.h"

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>

namespace dx {
namespace {

constexpr std::int64_t kNsOfMicrosecond = 1000;

// A hierarchy of control groups that gives out processor time, as it is mounted here.
struct Hierarchy {
  std::string mount;  // where its top, or what is seen of it, lies
  std::string group;  // of this process below that; "" for the top
  bool unified = false;
};

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::vector<std::string> words_of_line(const std::string& line, char between) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, between);) words.push_back(word);
  return words;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> number_in(const std::string& path) {
  const auto line = first_line(path);
  return line ? whole_number(*line) : std::nullopt;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The paths of this process's groups, of version 1's "cpu" and of version 2. cgroups(7): lines of
// ID:CONTROLLERS:PATH, of version 2 without controllers.
struct Paths {
  std::optional<std::string> cpu;
  std::optional<std::string> unified;
};

Paths own_groups(const std::string& root) {
  Paths paths;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) paths.unified = path;
    if (contains(words_of_line(controllers, ','), "cpu")) paths.cpu = path;
  }
  return paths;
}

// `path` seen from a mount that shows the hierarchy from `top` on. What lies outside, as from
// within a container, is the mount's own top.
std::string below(const std::string& path, const std::string& top) {
  const std::string prefix = top == "/" ? "" : top;
  if (path.compare(0, prefix.size(), prefix) != 0) return "";
  const std::string rest = path.substr(prefix.size());
  return rest == "/" || rest.find("..") != std::string::npos ? "" : rest;
}

// proc(5), mountinfo: the 4th field is the top that is mounted and the 5th where; behind a lone "-"
// follow type, source and the options, of version 1 the controllers among them.
std::vector<Hierarchy> hierarchies(const std::string& root) {
  const Paths paths = own_groups(root);
  std::vector<Hierarchy> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> place = words_of_line(line.substr(0, dash), ' ');
    const std::vector<std::string> kind = words_of_line(line.substr(dash + 3), ' ');
    if (place.size() < 5 || kind.size() < 3) continue;
    const bool unified = kind[0] == "cgroup2";
    if (!unified && !(kind[0] == "cgroup" && contains(words_of_line(kind[2], ','), "cpu"))) {
      continue;
    }
    if (const auto& path = unified ? paths.unified : paths.cpu) {
      found.push_back({root + place[4], below(*path, place[3]), unified});
    }
  }
  return found;
}

// The folders of the group and of all above it, as each may limit.
std::vector<std::string> levels(const Hierarchy& hierarchy) {
  std::vector<std::string> folders;
  std::string group = hierarchy.group;
  while (!group.empty()) {
    folders.push_back(hierarchy.mount + group);
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  folders.push_back(hierarchy.mount);
  return folders;
}

// Version 2: "QUOTA PERIOD" in microseconds, "max" for no quota; version 1: a file each, -1.
std::optional<double> quota_of(const std::string& folder, bool unified) {
  std::optional<std::int64_t> quota;
  std::optional<std::int64_t> period;
  if (unified) {
    const auto words = words_of_line(first_line(folder + "/cpu.max").value_or(""), ' ');
    if (words.size() == 2) {
      quota = whole_number(words[0]);
      period = whole_number(words[1]);
    }
  } else {
    quota = number_in(folder + "/cpu.cfs_quota_us");
    period = number_in(folder + "/cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<std::int64_t> held_back_ns(const std::string& folder) {
  std::ifstream file(folder + "/cpu.stat");
  for (std::string line; std::getline(file, line);) {
    const auto words = words_of_line(line, ' ');
    if (words.size() != 2) continue;
    const auto value = whole_number(words[1]);
    if (value && words[0] == "throttled_time") return *value;
    if (value && words[0] == "throttled_usec") return *value * kNsOfMicrosecond;
  }
  return std::nullopt;
}

}  // namespace

std::vector<int> allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {};
  std::vector<int> processors;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) processors.push_back(cpu);
  }
  return processors;
}

int count_physical_cores(const std::vector<int>& processors, const std::string& root) {
  std::set<std::string> cores;
  for (const int cpu : processors) {
    const std::string name = std::to_string(cpu);
    const std::string folder = root + "/sys/devices/system/cpu/cpu" + name + "/topology";
    // The second is the first's name before Linux 5.3.
    auto core = first_line(folder + "/core_cpus_list");
    if (!core) core = first_line(folder + "/thread_siblings_list");
    cores.insert(core.value_or(name));
  }
  return static_cast<int>(cores.size());
}

std::optional<double> processor_quota(const std::string& root) {
  std::optional<double> tightest;
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    for (const std::string& folder : levels(hierarchy)) {
      const auto quota = quota_of(folder, hierarchy.unified);
      if (quota && (!tightest || *quota < *tightest)) tightest = quota;
    }
  }
  return tightest;
}

int within_quota(int count, std::optional<double> quota) {
  const int granted = quota && *quota < count ? static_cast<int>(*quota) : count;
  return std::max(1, granted);
}

int free_cores(const std::string& root) {
  const std::vector<int> processors = allowed_processors();
  const int cores = processors.empty() ? static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN))
                                       : count_physical_cores(processors, root);
  return within_quota(cores, processor_quota(root));
}

std::optional<std::int64_t> waited_ns(const std::string& root) {
  const std::string folder = root + "/proc/self/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir(folder.c_str()), &::closedir);
  if (!threads) return std::nullopt;
  std::optional<std::int64_t> sum;
  while (const dirent* entry = ::readdir(threads.get())) {
    // Time on a processor, time waiting for one, both in nanoseconds, and how often.
    const std::string path = folder + "/" + entry->d_name + "/schedstat";
    const auto words = words_of_line(first_line(path).value_or(""), ' ');
    if (words.size() != 3) continue;
    if (const auto waited = whole_number(words[1])) sum = sum.value_or(0) + *waited;
  }
  return sum;
}

std::optional<std::int64_t> throttled_ns(const std::string& root) {
  std::optional<std::int64_t> sum;
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    for (const std::string& folder : levels(hierarchy)) {
      if (const auto held = held_back_ns(folder)) sum = sum.value_or(0) + *held;
    }
  }
  return sum;
}

}  // namespace dx
