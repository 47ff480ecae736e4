#include "agent/device/sysfiles.h"

#include <unistd.h>

#include <charconv>

#include "agent/files/files.h"

namespace dx {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::uint32_t kMaxCpu = 4095;
constexpr std::string_view kBlanks(" \t\r\n\0", 5);

std::optional<std::uint32_t> parse_cpu(std::string_view text) {
  std::uint32_t cpu = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, cpu);
  if (parsed.ec != std::errc() || parsed.ptr != end || cpu > kMaxCpu) return std::nullopt;
  return cpu;
}

void add_range(std::string_view text, std::vector<std::uint32_t>& cpus) {
  const std::size_t dash = text.find('-');
  const auto first = parse_cpu(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_cpu(text.substr(dash + 1));
  if (!first || !last) return;
  for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<std::string> SysFiles::text(const std::string& path) const {
  const auto bytes = read_file(full_path(path), kMaxFileBytes);
  if (!bytes) return std::nullopt;
  const std::string_view content = trimmed(*bytes);
  if (content.empty()) return std::nullopt;
  return std::string(content);
}

std::optional<std::int64_t> SysFiles::number(const std::string& path) const {
  const auto content = text(path);
  if (!content) return std::nullopt;
  std::int64_t value = 0;
  const char* end = content->data() + content->size();
  const auto parsed = std::from_chars(content->data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

std::vector<std::string> SysFiles::list(const std::string& path) const {
  return list_folder(full_path(path));
}

bool SysFiles::exists(const std::string& path) const {
  return ::access(full_path(path).c_str(), F_OK) == 0;
}

std::vector<std::uint32_t> parse_cpu_list(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  while (!text.empty()) {
    const std::size_t stop = text.find_first_of(", \t\n");
    add_range(text.substr(0, stop), cpus);
    if (stop == std::string_view::npos) break;
    text.remove_prefix(stop + 1);
  }
  return cpus;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t stop = text.find('\n');
    lines.push_back(text.substr(0, stop));
    if (stop == std::string_view::npos) break;
    text.remove_prefix(stop + 1);
  }
  return lines;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    text = trimmed(text);
    if (text.empty()) return words;
    const std::size_t stop = text.find_first_of(" \t");
    words.emplace_back(text.substr(0, stop));
    if (stop == std::string_view::npos) return words;
    text.remove_prefix(stop);
  }
}

}  // namespace dx
