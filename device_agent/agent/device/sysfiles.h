// Reads the small text files by which Linux tells of itself, below a root that tests may choose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dx {

class SysFiles {
 public:
  // `root` is "" on a board; a test's folder holds proc/, sys/, etc/ of its own.
  explicit SysFiles(std::string root = "") : root_(std::move(root)) {}

  // The text of a file without the white space and zero bytes at its end; empty where it cannot be
  // read or holds nothing.
  std::optional<std::string> text(const std::string& path) const;

  // The whole number that a file holds; empty where it holds none.
  std::optional<std::int64_t> number(const std::string& path) const;

  std::vector<std::string> list(const std::string& path) const;
  bool exists(const std::string& path) const;
  std::string full_path(const std::string& path) const { return root_ + path; }

 private:
  std::string root_;
};

// "0-3,6" -> 0 1 2 3 6, and so for blanks instead of commas. What is no number is left out.
std::vector<std::uint32_t> parse_cpu_list(std::string_view text);

// The lines of a text, without their breaks.
std::vector<std::string_view> lines_of(std::string_view text);

// The words between blanks and tabs.
std::vector<std::string> words_of(std::string_view text);

// Without white space at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace dx
