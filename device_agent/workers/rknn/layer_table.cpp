#include "workers/rknn/layer_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace dx {
namespace {

// Number, operator, elements, unit, shapes in, shape out, cycles, time: from there on versions
// differ, but the name comes last.
constexpr std::size_t kFewestWords = 9;
constexpr double kNsInUs = 1e3;
constexpr std::array<std::string_view, 2> kBorders{"InputOperator", "OutputOperator"};
constexpr std::array<std::string_view, 5> kMoving{"Reshape", "Transpose", "Concat", "Split",
                                                  "Slice"};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  constexpr std::string_view kSpace = " \t\r";
  for (std::size_t at = line.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const std::size_t end = line.find_first_of(kSpace, at);
    words.push_back(line.substr(at, end == std::string_view::npos ? end : end - at));
    at = end == std::string_view::npos ? end : line.find_first_not_of(kSpace, end);
  }
  return words;
}

template <class Number>
std::optional<Number> number_of(std::string_view word) {
  Number number{};
  const char* const end = word.data() + word.size();
  const auto read = std::from_chars(word.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

// "(1,16,6,6)", of several shapes the first.
std::vector<std::int64_t> dims_of(std::string_view word) {
  std::vector<std::int64_t> dims;
  if (word.empty() || word.front() != '(') return dims;
  word = word.substr(1, word.find(')') - 1);
  while (!word.empty()) {
    const std::size_t comma = word.find(',');
    const auto dim = number_of<std::int64_t>(word.substr(0, comma));
    if (!dim) return {};
    dims.push_back(*dim);
    word = comma == std::string_view::npos ? "" : word.substr(comma + 1);
  }
  return dims;
}

void set_precision(std::string_view elements, LayerRun& layer) {
  if (elements == "FLOAT32" || elements == "FP32") layer.precision = "fp32";
  if (elements == "FLOAT16" || elements == "FP16") layer.precision = "fp16";
  if (elements == "BFLOAT16" || elements == "BF16") layer.precision = "bf16";
  if (elements == "INT8") layer.precision = "int8";
  if (layer.precision.empty()) return;
  layer.element_bits = layer.precision == "fp32" ? 32 : layer.precision == "int8" ? 8 : 16;
}

// Older tables have three columns of cycles, newer ones one: "232862/4718592/4718592".
std::optional<double> microseconds(const std::vector<std::string_view>& words) {
  const std::size_t at = words[6].find('/') == std::string_view::npos ? 9 : 7;
  if (at + 1 >= words.size()) return std::nullopt;
  const auto time = number_of<std::int64_t>(words[at]);
  if (time) return static_cast<double>(*time);
  const std::string text(words[at]);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool is_number = end == text.c_str() + text.size() && std::isfinite(value) && value >= 0;
  return is_number ? std::optional<double>(value) : std::nullopt;
}

template <std::size_t Count>
bool is_one_of(std::string_view word, const std::array<std::string_view, Count>& words) {
  for (const std::string_view each : words) {
    if (each == word) return true;
  }
  return false;
}

// They stand as "Conv:/features/Conv", with the node's own operator before it.
std::string node_in(std::string_view name) {
  const std::size_t colon = name.find(':');
  const bool has_operator =
      colon != std::string_view::npos && colon > 0 &&
      std::all_of(name.begin(), name.begin() + colon,
                  [](unsigned char letter) { return std::isalnum(letter) != 0 || letter == '_'; });
  return std::string(has_operator ? name.substr(colon + 1) : name);
}

std::optional<LayerRun> layer_of(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.size() < kFewestWords) return std::nullopt;
  const auto index = number_of<std::uint32_t>(words[0]);
  const std::optional<double> time = microseconds(words);
  if (!index || !time) return std::nullopt;
  LayerRun layer;
  layer.index = *index;
  layer.type = std::string(words[1]);
  layer.dims = dims_of(words[5]);
  layer.ns = static_cast<std::int64_t>(std::llround(*time * kNsInUs));
  layer.name = node_in(words.back());
  set_precision(words[2], layer);
  const bool is_border = is_one_of(words[1], kBorders);
  layer.computes = !is_border && !is_one_of(words[1], kMoving) && !layer.precision.empty();
  // The processor's own work is no unit's that the model was given to.
  if (!is_border) layer.unit = std::string(words[3]);
  layer.fell_back = layer.unit == "CPU";
  return layer;
}

}  // namespace

std::vector<LayerRun> read_layer_table(std::string_view table) {
  std::vector<LayerRun> layers;
  while (!table.empty()) {
    const std::size_t end = table.find('\n');
    if (const auto layer = layer_of(table.substr(0, end))) layers.push_back(*layer);
    table = end == std::string_view::npos ? "" : table.substr(end + 1);
  }
  return layers;
}

}  // namespace dx
