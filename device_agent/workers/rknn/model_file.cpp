#include "workers/rknn/model_file.h"

#include <cstdint>
#include <cstring>
#include <optional>

#include "common/text.h"
#include "workers/core/json.h"

namespace dx {
namespace {

// Files begin with a head of 64 bytes, in which the size of what follows stands; behind that a
// description in JSON, with its size before it.
constexpr std::size_t kHeadBytes = 64;
constexpr std::size_t kSizeAt = 16;
constexpr std::string_view kMagic = "RKNN";
constexpr std::size_t kLongestWord = 40;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::uint64_t number_at(std::string_view content, std::size_t place) {
  std::uint64_t number = 0;
  std::memcpy(&number, content.data() + place, sizeof number);
  return number;
}

std::string text_in(const Json* value) {
  const bool is_text = value != nullptr && value->kind == Json::Kind::kText;
  return is_text ? printable(value->text, kLongestWord) : "";
}

// Other versions of the file may describe themselves otherwise: then nothing is told.
ModelFileFacts facts_in(std::string_view description) {
  ModelFileFacts facts;
  const std::optional<Json> json = parse_json(description);
  if (!json || json->kind != Json::Kind::kObject) return facts;
  facts.toolkit = text_in(json->member("version"));
  const Json* const chips = json->member("target_platform");
  if (chips == nullptr || chips->kind != Json::Kind::kArray) return facts;
  for (const Json& chip : chips->items) {
    const std::string name = text_in(&chip);
    if (!name.empty()) facts.chips.push_back(name);
  }
  return facts;
}

}  // namespace

Result<ModelFileFacts> read_model_file(std::string_view content) {
  if (content.substr(0, kMagic.size()) != kMagic) {
    return refuse("the file is not an .rknn model: its first bytes are not RKNN");
  }
  const Failure cut =
      refuse("the file is not a whole .rknn model: it ends too early; push it again");
  if (content.size() < kHeadBytes) return cut;
  const std::uint64_t body = number_at(content, kSizeAt);
  const std::size_t rest = content.size() - kHeadBytes;
  if (body > rest || rest - body < sizeof body) return cut;
  const std::size_t place = kHeadBytes + static_cast<std::size_t>(body);
  const std::uint64_t size = number_at(content, place);
  if (size > content.size() - place - sizeof size) return cut;
  return facts_in(content.substr(place + sizeof size, static_cast<std::size_t>(size)));
}

}  // namespace dx
