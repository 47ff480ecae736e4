#include "agent/receive/manifest.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/crypto/sha256.h"

namespace dx {
namespace {

constexpr std::string_view kGreeting = "deployx-receive 2";
constexpr std::string_view kBundlePrefix = "bundle ";
constexpr std::string_view kFilePrefix = "file ";

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// What the other side sent, fit to be shown: short and without control characters.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) {
    out += c < 0x20 || c > 0x7e ? '?' : c;
  }
  return text.size() > 80 ? out + "..." : out;
}

// Cuts the text up to the next blank; empty where there is none.
std::optional<std::string_view> cut_word(std::string_view& text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  const std::string_view word = text.substr(0, blank);
  text.remove_prefix(blank + 1);
  return word;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const bool plain =
      !text.empty() && text.size() <= 19 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!plain || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint64_t size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  if (size > kMaxFileBytes) return std::nullopt;
  return size;
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathBytes) return false;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(path.begin(), path.end(), is_control)) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_bundle_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 128 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::string Manifest::list() const {
  std::string text = "deployx-bundle 1\n";
  for (const ManifestFile& file : files) {
    text += file.sha256 + ' ' + std::to_string(file.size) + (file.executable ? " x " : " - ") +
            file.path + '\n';
  }
  return text;
}

ReceiveError ManifestParser::refuse(const std::string& expected, std::string_view found) const {
  return {ReceiveCode::kProtocol, "line " + std::to_string(line_number_) + ": expected " +
                                      expected + ", got '" + shown(found) +
                                      "'; push with the deployx-edge that built this agent"};
}

ReceiveOutcome ManifestParser::take(std::string_view line) {
  ++line_number_;
  bytes_ += line.size() + 1;
  if (bytes_ > kMaxManifestBytes) return refuse("a list of at most 32 MiB", line);
  switch (state_) {
    case State::kGreeting:
      if (line != kGreeting) return refuse("'deployx-receive 2'", line);
      state_ = State::kBundle;
      return std::nullopt;
    case State::kBundle:
      return take_bundle(line);
    case State::kFiles:
      if (line != "end") return take_file(line);
      state_ = State::kComplete;
      return std::nullopt;
    case State::kComplete:
      break;
  }
  return refuse("nothing after 'end'", line);
}

ReceiveOutcome ManifestParser::take_bundle(std::string_view line) {
  const bool named = starts_with(line, kBundlePrefix);
  const std::string_view name = named ? line.substr(kBundlePrefix.size()) : std::string_view();
  if (!is_bundle_name(name)) return refuse("'bundle NAME' with a name of [A-Za-z0-9._-]", line);
  manifest_.bundle = name;
  state_ = State::kFiles;
  return std::nullopt;
}

ReceiveOutcome ManifestParser::take_file(std::string_view line) {
  if (!starts_with(line, kFilePrefix)) return refuse("'file ...' or 'end'", line);
  if (manifest_.files.size() >= kMaxFiles) return refuse("at most 100000 files", line);
  std::string_view rest = line.substr(kFilePrefix.size());
  const auto sha256 = cut_word(rest);
  const auto size_word = cut_word(rest);
  const auto mode = cut_word(rest);
  if (!mode) return refuse("'file SHA256 SIZE MODE PATH'", line);
  if (!is_sha256(*sha256)) return refuse("a sha256 of 64 lower-case digits", *sha256);
  const auto size = parse_size(*size_word);
  if (!size) return refuse("a size of at most 1 TiB", *size_word);
  if (*mode != "x" && *mode != "-") return refuse("mode x or -", *mode);
  if (!is_safe_path(rest)) return refuse("a relative path without ..", rest);
  return add({std::string(*sha256), *size, *mode == "x", std::string(rest)});
}

ReceiveOutcome ManifestParser::add(ManifestFile file) {
  if (!file_of_path_.emplace(file.path, manifest_.files.size()).second) {
    return refuse("each path once", file.path);
  }
  const auto [known, is_new] = content_of_.emplace(file.sha256, manifest_.contents.size());
  if (is_new) {
    manifest_.contents.push_back({file.sha256, file.size, file.executable});
  } else {
    Content& content = manifest_.contents[known->second];
    if (content.size != file.size) return refuse("one size for one sha256", file.sha256);
    content.executable = content.executable || file.executable;
  }
  manifest_.files.push_back(std::move(file));
  return std::nullopt;
}

}  // namespace dx
