#include "workers/rknn/board.h"

#include <dirent.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <fstream>
#include <sstream>
#include <string_view>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kLongestWord = 60;
constexpr std::string_view kMaker = "rockchip,";
// Where drivers tell their version; who is not root may read the first at most.
constexpr std::array<const char*, 3> kDriverFiles{
    "/sys/module/rknpu/version", "/sys/kernel/debug/rknpu/version", "/proc/debug/rknpu/version"};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string lower(std::string text) {
  for (char& letter : text) {
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return text;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* const opened = ::opendir(folder.c_str());
  if (opened == nullptr) return names;
  while (const dirent* const entry = ::readdir(opened)) names.emplace_back(entry->d_name);
  (void)::closedir(opened);
  std::sort(names.begin(), names.end());
  return names;
}

// Words of a device tree end in zeros; the chip is the last that is Rockchip's.
std::string chip_in(const std::string& compatible) {
  std::istringstream words(compatible);
  std::string chip;
  for (std::string word; std::getline(words, word, '\0');) {
    if (word.rfind(kMaker, 0) == 0) chip = printable(word.substr(kMaker.size()), kLongestWord);
  }
  return chip;
}

// "0.9.8" of "RKNPU driver: v0.9.8".
std::string version_in_line(const std::string& text) {
  const std::size_t digit = text.find_first_of("0123456789");
  if (digit == std::string::npos) return "";
  const std::string rest = text.substr(digit, kLongestWord);
  return rest.substr(0, rest.find_first_not_of("0123456789."));
}

bool is_npus(const std::string& render_node) {
  std::array<char, PATH_MAX> target{};
  const std::string link = render_node + "/device/driver";
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size() - 1);
  return size > 0 && lower(target.data()).find("rknpu") != std::string::npos;
}

std::string group_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return "";
  const group* const found = ::getgrgid(status.st_gid);
  return found == nullptr ? "" : found->gr_name;
}

}  // namespace

NpuBoard NpuBoard::read(const std::string& root) {
  NpuBoard board;
  board.chip = chip_in(content_of(root + "/proc/device-tree/compatible"));
  for (const char* const file : kDriverFiles) {
    if (board.driver.empty()) board.driver = version_in_line(content_of(root + file));
  }
  for (const std::string& name : names_in(root + "/sys/class/drm")) {
    const bool is_render = name.rfind("renderD", 0) == 0;
    if (is_render && is_npus(root + "/sys/class/drm/" + name)) {
      board.nodes.push_back(root + "/dev/dri/" + name);
    }
  }
  for (const std::string& name : names_in(root + "/dev")) {
    if (name.rfind("rknpu", 0) == 0) board.nodes.push_back(root + "/dev/" + name);
  }
  return board;
}

std::string closed_node_text(const std::vector<std::string>& nodes) {
  for (const std::string& node : nodes) {
    if (::access(node.c_str(), F_OK) != 0 || ::access(node.c_str(), R_OK | W_OK) == 0) continue;
    const std::string group = group_of(node);
    if (group.empty() || group == "root") {
      return "this user may not open the NPU's " + node +
             ": let its group do so on the board (sudo chgrp "
             "render " +
             node + " && sudo chmod g+rw " + node + "), and connect again";
    }
    return "this user may not open the NPU's " + node + ": add it to the group " + group +
           " on the board (sudo usermod -aG " + group + " USER), and connect again";
  }
  return "";
}

int npu_cores(const std::string& chip) {
  if (chip.rfind("rk3588", 0) == 0) return 3;
  if (chip.rfind("rk3576", 0) == 0) return 2;
  for (const char* const single : {"rk3562", "rk3566", "rk3568", "rv1103", "rv1106", "rv1126"}) {
    if (chip.rfind(single, 0) == 0) return 1;
  }
  return 0;
}

bool same_npu(const std::string& one, const std::string& other) {
  const auto family = [](const std::string& chip) {
    const std::string name = lower(chip);
    if (name.rfind("rk3588", 0) == 0) return std::string("rk3588");
    if (name.rfind("rk3576", 0) == 0) return std::string("rk3576");
    if (name == "rk3566" || name == "rk3568") return std::string("rk356x");
    return name;
  };
  return family(one) == family(other);
}

}  // namespace dx
