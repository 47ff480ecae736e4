#include "workers/ncnn/blob_server.h"

#include <net.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "workers/core/json.h"
#include "workers/ncnn/operator.h"
#include "workers/ncnn/param_file.h"
#include "workers/ncnn/tensor_mats.h"

namespace dx {
namespace {

constexpr std::size_t kLongestLine = std::size_t{64} << 20;
constexpr std::int64_t kMostElements = std::int64_t{1} << 31;

Failure refuse(const std::string& message) { return {FailureCode::kRuntimeRefused, message, {}}; }

std::optional<std::string> read_line() {
  std::string line;
  for (int letter = std::getchar(); letter != EOF; letter = std::getchar()) {
    if (letter == '\n') return line;
    line += static_cast<char>(letter);
    if (line.size() > kLongestLine) return std::nullopt;
  }
  return std::nullopt;
}

std::string quoted(const std::string& text) {
  std::string found = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') found += '\\';
    found += letter;
  }
  return found + '"';
}

void say(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

std::string text_of(const Json& object, const char* name) {
  const Json* const found = object.member(name);
  return found == nullptr ? "" : found->text;
}

std::int64_t number_of(const Json& object, const char* name) {
  return std::atoll(text_of(object, name).c_str());
}

const std::vector<Json>& items_of(const Json& object, const char* name) {
  static const std::vector<Json> none;
  const Json* const found = object.member(name);
  return found == nullptr ? none : found->items;
}

// As wheel_options.py sets them.
void configure(ncnn::Option& option, const Json& job) {
  const std::string precision = text_of(job, "precision");
  const bool half = precision == "fp16";
  const bool is_large = number_of(job, "is_large") != 0;
  option.num_threads = static_cast<int>(number_of(job, "threads"));
  option.use_winograd_convolution = option.use_sgemm_convolution = !is_large;
  option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = half;
  option.use_bf16_packed = option.use_bf16_storage = precision == "bf16";
}

Status load(ncnn::Net& net, const Json& job) {
  configure(net.opt, job);
  register_operators(net);
  const std::string param = text_of(job, "param");
  Result<ParamFile> layers = read_param_file(param, knows_layer_type);
  if (!layers) return layers.failure();
  if (net.load_param(param.c_str()) != 0) return refuse("ncnn refused the .param file");
  if (net.load_model(text_of(job, "bin").c_str()) != 0) {
    return refuse("ncnn refused the .bin file");
  }
  return {};
}

void say_names(const ncnn::Net& net) {
  const auto list = [](const std::vector<const char*>& names) {
    std::string text;
    for (const char* const name : names) text += (text.empty() ? "" : ", ") + quoted(name);
    return "[" + text + "]";
  };
  say("{\"inputs\": " + list(net.input_names()) + ", \"outputs\": " + list(net.output_names()) +
      "}");
}

Result<ncnn::Mat> read_input(const Json& entry) {
  std::vector<std::int64_t> dims;
  std::int64_t count = 1;
  for (const Json& size : items_of(entry, "shape")) {
    dims.push_back(std::atoll(size.text.c_str()));
    if (dims.back() < 1 || dims.back() > kMostElements / count) return refuse("an input is empty");
    count *= dims.back();
  }
  if (dims.empty() || dims.size() > 4 || number_of(entry, "batched") != 0) {
    return refuse("an input has not one to four dims, or several samples");
  }
  std::vector<float> values(static_cast<std::size_t>(count));
  if (std::fread(values.data(), sizeof(float), values.size(), stdin) != values.size()) {
    return refuse("the input ended early");
  }
  return to_mat(dims, reinterpret_cast<const char*>(values.data()));
}

Status show(ncnn::Extractor& extractor, const std::string& blob) {
  ncnn::Mat mat;
  const int code = extractor.extract(blob.c_str(), mat);
  if (code != 0 || mat.empty()) {
    return refuse("ncnn could not compute the output blob '" + blob + "' (code " +
                  std::to_string(code) + ")");
  }
  std::string shape;
  for (const std::int64_t size : dims_of(mat)) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  }
  std::string data;
  append_floats(mat, data);
  say("{\"blob\": " + quoted(blob) + ", \"shape\": [" + shape + "]}");
  std::fwrite(data.data(), 1, data.size(), stdout);
  std::fflush(stdout);
  return {};
}

Status run(const ncnn::Net& net, const Json& request) {
  ncnn::Extractor extractor = net.create_extractor();
  std::vector<ncnn::Mat> mats;
  for (const Json& entry : items_of(request, "inputs")) {
    Result<ncnn::Mat> mat = read_input(entry);
    if (!mat) return mat.failure();
    const std::string blob = text_of(entry, "blob");
    if (extractor.input(blob.c_str(), mat.value()) != 0) {
      return refuse("ncnn refused the input blob '" + blob + "'");
    }
    mats.push_back(std::move(mat).value());
  }
  for (const Json& blob : items_of(request, "blobs")) {
    if (Status status = show(extractor, blob.text); !status) return status;
  }
  return {};
}

Status serve() {
  ncnn::Net net;
  const std::optional<std::string> first = read_line();
  const std::optional<Json> job = first ? parse_json(*first) : std::nullopt;
  if (!job) return refuse("no model was named");
  say("{\"phase\": \"load\"}");
  std::fflush(stdout);
  if (Status status = load(net, *job); !status) return status;
  say_names(net);
  std::fflush(stdout);
  for (int count = 1;; ++count) {
    const std::optional<std::string> line = read_line();
    if (!line) return {};
    const std::optional<Json> request = parse_json(*line);
    if (!request) return refuse("a request cannot be read");
    say("{\"phase\": \"run " + std::to_string(count) + "\"}");
    if (Status status = run(net, *request); !status) return status;
    say("{\"done\": 1}");
    std::fflush(stdout);
  }
}

}  // namespace

int serve_blobs() {
  Status status;
  try {
    status = serve();
  } catch (const std::exception& error) {
    status = refuse(std::string("ncnn failed: ") + error.what());
  }
  if (status) return 0;
  say("{\"error\": " + quoted(status.failure().message) + "}");
  std::fflush(stdout);
  return 1;
}

}  // namespace dx
