#include "workers/core/command_line.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "common/text.h"

namespace dx {

const char kUsage[] =
    "  --control-fd N              serve the agent on this socket\n"
    "  --bare                      time a model alone: one nanosecond sample a line\n"
    "    --param P --bin B         the model's files\n"
    "    --input NAME=D0xD1x...    an input and its dims, slowest axis first; seeded noise\n"
    "    --output NAME             a blob to compute; without it the model's outputs\n"
    "    --threads N               0: as many as physical cores of the selected ones are free\n"
    "                              to the worker (the default)\n"
    "    --cores all|little|big    --accelerator cpu|vulkan\n"
    "    --fp16 | --bf16           16-bit floats where the processor has them; else fp32\n"
    "    --set OPTION=0|1          fp16_storage, fp16_arithmetic, fp16_packed, bf16_storage,\n"
    "                              int8_inference, packing_layout, winograd_convolution,\n"
    "                              sgemm_convolution\n"
    "    --warmup N (5)  --iterations N (50) | --seconds S  --pause-ms N (0)\n"
    "    --summary                 min, mean, stdev, p50, p90, p99 in place of the samples\n"
    "  --version\n";

namespace {

Failure misuse(const std::string& message) {
  return {FailureCode::kInvalidRequest, message + " (see --help)", {}};
}

std::optional<std::uint32_t> to_number(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return {};
  errno = 0;
  const unsigned long long value = std::strtoull(text.c_str(), nullptr, 10);
  if (errno != 0 || value > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

// NAME=D0xD1x...
std::optional<Tensor> to_input(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  Tensor tensor;
  tensor.name = text.substr(0, equals);
  std::string rest = text.substr(equals + 1) + "x";
  while (!rest.empty()) {
    const std::size_t cross = rest.find('x');
    const std::optional<std::uint32_t> dim = to_number(rest.substr(0, cross));
    if (!dim) return std::nullopt;
    tensor.dims.push_back(*dim);
    rest.erase(0, cross + 1);
  }
  return float_bytes(tensor.dims) ? std::optional<Tensor>(tensor) : std::nullopt;
}

std::optional<bool>* option_named(RunOptions& options, const std::string& name) {
  const std::map<std::string, std::optional<bool>*> by_name = {
      {"fp16_storage", &options.fp16_storage},
      {"fp16_arithmetic", &options.fp16_arithmetic},
      {"fp16_packed", &options.fp16_packed},
      {"bf16_storage", &options.bf16_storage},
      {"int8_inference", &options.int8_inference},
      {"packing_layout", &options.packing_layout},
      {"winograd_convolution", &options.winograd_convolution},
      {"sgemm_convolution", &options.sgemm_convolution},
  };
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : found->second;
}

bool set_option(RunOptions& options, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return false;
  const std::string value = text.substr(equals + 1);
  std::optional<bool>* option = option_named(options, text.substr(0, equals));
  if (option == nullptr || (value != "0" && value != "1")) return false;
  *option = value == "1";
  return true;
}

bool set_cores(RunOptions& options, const std::string& text) {
  const std::map<std::string, CoreSelection> names = {{"all", CoreSelection::kAll},
                                                      {"little", CoreSelection::kLittle},
                                                      {"big", CoreSelection::kBig}};
  const auto found = names.find(text);
  if (found == names.end()) return false;
  options.cores = found->second;
  return true;
}

bool set_number(std::uint32_t& number, const std::string& text) {
  const std::optional<std::uint32_t> value = to_number(text);
  if (value) number = *value;
  return value.has_value();
}

bool set_seconds(Bench& bench, const std::string& text) {
  char* end = nullptr;
  bench.seconds = std::strtod(text.c_str(), &end);
  bench.iterations = 0;
  return !text.empty() && *end == '\0';
}

bool add_input(Bench& bench, const std::string& text) {
  std::optional<Tensor> tensor = to_input(text);
  if (tensor) bench.inputs.push_back(std::move(*tensor));
  return tensor.has_value();
}

void set_16_bits(RunOptions& options, bool fp16, bool bf16) {
  options.fp16_storage = options.fp16_arithmetic = options.fp16_packed = fp16;
  options.bf16_storage = bf16;
}

using Flags = std::map<std::string, std::function<void()>>;
using Values = std::map<std::string, std::function<bool(const std::string&)>>;

Flags flags_of(CommandLine& line) {
  using Mode = CommandLine::Mode;
  return {
      {"--help", [&] { line.mode = Mode::kHelp; }},
      {"--version", [&] { line.mode = Mode::kVersion; }},
      {"--bare", [&] { line.mode = Mode::kBare; }},
      {"--summary", [&] { line.summary = true; }},
      {"--fp16", [&] { set_16_bits(line.load.options, true, false); }},
      {"--bf16", [&] { set_16_bits(line.load.options, false, true); }},
  };
}

Values values_of(CommandLine& line) {
  Load& load = line.load;
  Bench& bench = line.bench;
  const auto file = [&load](const char* role) {
    return [&load, role](const std::string& path) {
      load.files.push_back({role, path});
      return true;
    };
  };
  return {
      {"--control-fd",
       [&](const std::string& text) {
         const std::optional<std::uint32_t> value = to_number(text);
         line.mode = CommandLine::Mode::kServe;
         line.control_socket = static_cast<int>(value.value_or(0));
         return value.has_value() && *value <= 1024;
       }},
      {"--param", file("param")},
      {"--bin", file("bin")},
      {"--input", [&](const std::string& text) { return add_input(bench, text); }},
      {"--output",
       [&](const std::string& text) {
         load.outputs.push_back(text);
         return true;
       }},
      {"--threads",
       [&](const std::string& text) { return set_number(load.options.threads, text); }},
      {"--cores", [&](const std::string& text) { return set_cores(load.options, text); }},
      {"--accelerator",
       [&](const std::string& text) {
         load.options.accelerator = text;
         return true;
       }},
      {"--set", [&](const std::string& text) { return set_option(load.options, text); }},
      {"--warmup", [&](const std::string& text) { return set_number(bench.warmup, text); }},
      {"--iterations", [&](const std::string& text) { return set_number(bench.iterations, text); }},
      {"--seconds", [&](const std::string& text) { return set_seconds(bench, text); }},
      {"--pause-ms",
       [&](const std::string& text) {
         const std::optional<std::uint32_t> value = to_number(text);
         bench.pause_ns = std::int64_t{1000000} * value.value_or(0);
         return value.has_value();
       }},
  };
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& words) {
  CommandLine line;
  line.bench.warmup = 5;
  line.bench.iterations = 50;
  set_16_bits(line.load.options, false, false);
  const Flags flags = flags_of(line);
  const Values values = values_of(line);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (const auto flag = flags.find(word); flag != flags.end()) {
      flag->second();
      continue;
    }
    const auto value = values.find(word);
    if (value == values.end()) return misuse("unknown option '" + printable(word, 80) + "'");
    if (++i == words.size()) return misuse(word + " wants a value");
    if (!value->second(words[i])) {
      return misuse(word + " does not take '" + printable(words[i], 80) + "'");
    }
  }
  return line;
}

}  // namespace dx
