#include "workers/core/json.h"

namespace dx {
namespace {

constexpr int kDeepest = 16;

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<Json> whole() {
    std::optional<Json> value = parse(0);
    skip_space();
    return rest_.empty() ? value : std::nullopt;
  }

 private:
  std::optional<Json> parse(int depth) {
    skip_space();
    if (rest_.empty() || depth > kDeepest) return std::nullopt;
    switch (rest_.front()) {
      case '"':
        return text();
      case '[':
        return array(depth);
      case '{':
        return object(depth);
      default:
        return number();
    }
  }

  std::optional<Json> text() {
    Json value;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '\\') {
        ++i;
        if (i < rest_.size()) value.text += rest_[i];
        continue;
      }
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return value;
      }
      value.text += rest_[i];
    }
    return std::nullopt;
  }

  std::optional<Json> number() {
    const std::size_t end = rest_.find_first_not_of("-+.0123456789eE");
    Json value;
    value.kind = Json::Kind::kNumber;
    value.text = rest_.substr(0, end);
    rest_.remove_prefix(value.text.size());
    return value.text.empty() ? std::nullopt : std::optional<Json>(value);
  }

  std::optional<Json> array(int depth) {
    Json value;
    value.kind = Json::Kind::kArray;
    take('[');
    if (take(']')) return value;
    do {
      std::optional<Json> item = parse(depth + 1);
      if (!item) return std::nullopt;
      value.items.push_back(std::move(*item));
    } while (take(','));
    return take(']') ? std::optional<Json>(std::move(value)) : std::nullopt;
  }

  std::optional<Json> object(int depth) {
    Json value;
    value.kind = Json::Kind::kObject;
    take('{');
    if (take('}')) return value;
    do {
      skip_space();
      if (rest_.empty() || rest_.front() != '"') return std::nullopt;
      std::optional<Json> name = text();
      if (!name || !take(':')) return std::nullopt;
      std::optional<Json> item = parse(depth + 1);
      if (!item) return std::nullopt;
      value.members.emplace_back(std::move(name->text), std::move(*item));
    } while (take(','));
    return take('}') ? std::optional<Json>(std::move(value)) : std::nullopt;
  }

  void skip_space() {
    const std::size_t start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
  }

  bool take(char letter) {
    skip_space();
    if (rest_.empty() || rest_.front() != letter) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
};

}  // namespace

const Json* Json::member(std::string_view name) const {
  for (const auto& [known, value] : members) {
    if (known == name) return &value;
  }
  return nullptr;
}

std::optional<Json> parse_json(std::string_view text) { return Parser(text).whole(); }

}  // namespace dx
