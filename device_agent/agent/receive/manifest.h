// What the host announces: the text part of the receive protocol, checked line by line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/receive/receive_error.h"

namespace dx {

constexpr std::size_t kMaxLineBytes = 1280;
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::size_t kMaxFiles = 100000;
constexpr std::size_t kMaxManifestBytes = std::size_t{32} << 20;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;

struct ManifestFile {
  std::string sha256;
  std::uint64_t size = 0;
  bool executable = false;
  std::string path;
};

// One content of the store; several files may hold it.
struct Content {
  std::string sha256;
  std::uint64_t size = 0;
  bool executable = false;
};

struct Manifest {
  std::string bundle;
  std::vector<ManifestFile> files;
  std::vector<Content> contents;  // in the order first named, each once

  // The text of bundles/<name>.
  std::string list() const;
};

class ManifestParser {
 public:
  // Takes the next line, without its line break. REQUIRES: not complete().
  ReceiveOutcome take(std::string_view line);

  // True after the line `end`.
  bool complete() const { return state_ == State::kComplete; }

  // REQUIRES: complete().
  const Manifest& manifest() const { return manifest_; }

 private:
  enum class State { kGreeting, kBundle, kFiles, kComplete };

  ReceiveOutcome take_bundle(std::string_view line);
  ReceiveOutcome take_file(std::string_view line);
  ReceiveOutcome add(ManifestFile file);
  ReceiveError refuse(const std::string& expected, std::string_view found) const;

  State state_ = State::kGreeting;
  std::size_t line_number_ = 0;
  std::size_t bytes_ = 0;
  Manifest manifest_;
  std::unordered_map<std::string, std::size_t> content_of_;
  std::unordered_map<std::string, std::size_t> file_of_path_;
};

// Relative, of ordinary components, without control characters.
bool is_safe_path(std::string_view path);

// [A-Za-z0-9._-]{1,128}, but neither . nor ..
bool is_bundle_name(std::string_view name);

}  // namespace dx
