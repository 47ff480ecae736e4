// The little of JSON that profiles and requests hold.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dx {

struct Json {
  enum class Kind { kText, kNumber, kArray, kObject };
  Kind kind = Kind::kText;
  std::string text;  // of a text without its escapes' meaning; of a number its digits
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  // The member of that name; null where there is none.
  const Json* member(std::string_view name) const;
};

// Empty where the text is not one JSON value of those kinds, or is nested more than 16 deep.
std::optional<Json> parse_json(std::string_view text);

}  // namespace dx
