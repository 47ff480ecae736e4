#include "workers/core/options.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kMaxOptions = 64;
constexpr std::size_t kMaxBytes = 200;
constexpr std::size_t kNearest = 3;

Failure refuse(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kLoad};
}

std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = corner + (a[i] == b[j] ? 0 : 1);
      corner = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, corner + 1});
    }
  }
  return row.back();
}

std::string nearest_names(const WorkerFacts& facts, const std::string& name) {
  std::vector<std::string> names;
  for (const OptionFact& option : facts) names.emplace_back(option.name);
  std::stable_sort(names.begin(), names.end(), [&name](const auto& a, const auto& b) {
    return distance(name, a) < distance(name, b);
  });
  if (names.size() > kNearest) names.resize(kNearest);
  return list_text(names);
}

bool is_one_of(std::string_view values, std::string_view value) {
  while (!values.empty()) {
    const std::size_t bar = values.find('|');
    if (values.substr(0, bar) == value) return true;
    values.remove_prefix(bar == std::string_view::npos ? values.size() : bar + 1);
  }
  return false;
}

bool takes(const OptionFact& option, const std::string& value) {
  switch (option.kind) {
    case OptionKind::kSwitch:
      return value == "on" || value == "off";
    case OptionKind::kChoice:
      return !value.empty() && is_one_of(option.values, value);
    case OptionKind::kNumber: {
      const std::optional<std::int64_t> number = to_number(value);
      return number && *number >= option.minimum && *number <= option.maximum;
    }
    case OptionKind::kText:
      return !value.empty();
  }
  return false;
}

const char* kind_name(OptionKind kind) {
  switch (kind) {
    case OptionKind::kSwitch:
      return "switch";
    case OptionKind::kChoice:
      return "choice";
    case OptionKind::kNumber:
      return "number";
    case OptionKind::kText:
      return "text";
  }
  return "";
}

Status check(const WorkerFacts& facts, const std::string& name, const std::string& value) {
  const auto known = std::find_if(facts.begin(), facts.end(),
                                  [&name](const OptionFact& fact) { return fact.name == name; });
  const std::string runtime(facts.name);
  if (known == facts.end()) {
    const std::string names = nearest_names(facts, name);
    return refuse(runtime + " has no option '" + printable(name, 80) + "'" +
                  (names.empty() ? "; it has none" : "; the nearest are " + names));
  }
  if (value.size() <= kMaxBytes && takes(*known, value)) return {};
  return refuse("option " + name + " of " + runtime + ": expected " + values_text(*known) +
                ", got '" + printable(value, 80) + "'");
}

const std::string* find(const RunOptions& options, const std::string& name) {
  const auto found = options.named.find(name);
  return found == options.named.end() ? nullptr : &found->second;
}

}  // namespace

Status settle_options(const WorkerFacts& facts, RunOptions& options) {
  if (options.named.size() > kMaxOptions) {
    return refuse("expected at most 64 options, got " + std::to_string(options.named.size()));
  }
  for (const auto& [name, value] : options.named) {
    if (Status status = check(facts, name, value); !status) return status;
  }
  for (const OptionFact& option : facts) {
    if (!option.usual.empty()) options.named.try_emplace(std::string(option.name), option.usual);
  }
  return {};
}

std::vector<OptionInfo> option_infos(const WorkerFacts& facts) {
  std::vector<OptionInfo> infos;
  for (const OptionFact& option : facts) {
    infos.push_back({std::string(option.name), kind_name(option.kind), std::string(option.values),
                     option.minimum, option.maximum, std::string(option.usual),
                     std::string(option.help), option.only_runs});
  }
  return infos;
}

std::string values_text(const OptionFact& option) {
  switch (option.kind) {
    case OptionKind::kSwitch:
      return "on or off";
    case OptionKind::kNumber:
      return "a whole number from " + std::to_string(option.minimum) + " to " +
             std::to_string(option.maximum);
    case OptionKind::kText:
      return "a text of 1 to 200 bytes";
    case OptionKind::kChoice:
      break;
  }
  std::string text = "one of ";
  for (const char letter : option.values)
    text += letter == '|' ? std::string(", ") : std::string(1, letter);
  return text;
}

std::optional<bool> switch_of(const RunOptions& options, const std::string& name) {
  const std::string* value = find(options, name);
  return value == nullptr ? std::nullopt : std::optional<bool>(*value == "on");
}

std::optional<std::int64_t> number_of(const RunOptions& options, const std::string& name) {
  const std::string* value = find(options, name);
  return value == nullptr ? std::nullopt : to_number(*value);
}

std::optional<std::string> text_of(const RunOptions& options, const std::string& name) {
  const std::string* value = find(options, name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(*value);
}

}  // namespace dx
