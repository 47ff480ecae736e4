#include "workers/ncnn/param_file.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "common/text.h"
#include "workers/ncnn/operator.h"

namespace dx {
namespace {

constexpr char kMagic[] = "7767517";
constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxBlobsOfLayer = 100000;

Failure refuse(const std::string& path, const std::string& reason) {
  return {FailureCode::kRuntimeRefused, path + ": " + reason, Phase::kLoad};
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse(path, "the .param cannot be opened");
  std::string text;
  char block[65536];
  while (file.read(block, sizeof block) || file.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMaxBytes) return refuse(path, "a .param may have 64 MiB, this one has more");
  }
  return text;
}

// ncnn's integers have 32 bits.
std::optional<int> to_integer(const std::string& text) {
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (errno != 0 || *end != '\0' || value != static_cast<int>(value)) return std::nullopt;
  return static_cast<int>(value);
}

// One line: type, name, number of inputs and outputs, their names, parameters as key=value.
std::optional<ParamLayer> parse_layer(const std::string& line) {
  std::istringstream words(line);
  ParamLayer layer;
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  if (!(words >> layer.type >> layer.name >> inputs >> outputs)) return std::nullopt;
  if (inputs > kMaxBlobsOfLayer || outputs > kMaxBlobsOfLayer) return std::nullopt;
  std::string word;
  for (std::size_t i = 0; i < inputs + outputs; ++i) {
    if (!(words >> word)) return std::nullopt;
    (i < inputs ? layer.inputs : layer.outputs).push_back(word);
  }
  while (words >> word) {
    // What is no single integer, and what is wrong with it, is ncnn's business.
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const auto key = to_integer(word.substr(0, equals));
    const auto value = to_integer(word.substr(equals + 1));
    if (key && value) layer.integers[*key] = *value;
  }
  return layer;
}

std::optional<std::string> second_consumer(const ParamFile& file) {
  std::set<std::string> consumed;
  for (const ParamLayer& layer : file.layers) {
    for (const std::string& blob : layer.inputs) {
      if (!consumed.insert(blob).second) return blob;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<ParamFile> read_param_file(const std::string& path,
                                  bool (*knows_layer_type)(const std::string& type)) {
  Result<std::string> text = read_text(path);
  if (!text) return text.failure();
  std::istringstream lines(text.value());
  std::string word;
  if (!(lines >> word) || word != kMagic) {
    return refuse(path, std::string("not a text .param of ncnn: the first line must be ") + kMagic);
  }
  std::size_t layer_count = 0;
  std::size_t blob_count = 0;
  if (!(lines >> layer_count >> blob_count) || layer_count == 0) {
    return refuse(path, "the second line of a .param must hold the numbers of layers and blobs");
  }

  ParamFile file;
  std::string line;
  while (file.layers.size() < layer_count && std::getline(lines, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::optional<ParamLayer> layer = parse_layer(line);
    const std::string number = std::to_string(file.layers.size() + 1);
    if (!layer) return refuse(path, "layer " + number + " cannot be read: " + printable(line, 80));
    if (!knows_layer_type(layer->type)) {
      if (is_operator_type(layer->type)) {
        return refuse(path, "this build of the worker has no operator '" +
                                printable(layer->type.substr(3), 80) + "' (layer '" +
                                printable(layer->name, 80) + "')");
      }
      return refuse(path, "this build of ncnn has no layer of type '" + printable(layer->type, 80) +
                              "' (layer '" + printable(layer->name, 80) + "')");
    }
    file.layers.push_back(std::move(*layer));
  }
  if (file.layers.size() < layer_count) {
    return refuse(path, "announces " + std::to_string(layer_count) + " layers and holds " +
                            std::to_string(file.layers.size()) + ": it is cut off");
  }
  if (const auto blob = second_consumer(file)) {
    return refuse(path, "blob '" + printable(*blob, 80) +
                            "' is consumed by two layers: ncnn wants a Split between them");
  }
  return file;
}

std::vector<std::int64_t> declared_dims(const ParamLayer& input) {
  const std::int64_t w = input.integer(0, 0);
  const std::int64_t h = input.integer(1, 0);
  const std::int64_t c = input.integer(2, 0);
  const std::int64_t d = input.integer(11, 0);
  std::vector<std::int64_t> dims;
  for (const std::int64_t dim : {c, d, h, w}) {
    if (dim > 0) dims.push_back(dim);
  }
  // A hole in the list, or a depth without channels, is no shape.
  const bool whole = w > 0 && (h > 0 || c <= 0) && (d <= 0 || c > 0);
  return whole ? dims : std::vector<std::int64_t>();
}

}  // namespace dx
