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

#include "common/tensors.h"
#include "common/text.h"
#include "workers/core/options.h"

namespace dx {

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

// D0xD1x..., or nothing for a single value.
std::optional<std::vector<std::int64_t>> to_dims(const std::string& text) {
  std::vector<std::int64_t> dims;
  std::string rest = text.empty() ? "" : text + "x";
  while (!rest.empty()) {
    const std::size_t cross = rest.find('x');
    const std::optional<std::uint32_t> dim = to_number(rest.substr(0, cross));
    if (!dim) return std::nullopt;
    dims.push_back(*dim);
    rest.erase(0, cross + 1);
  }
  return dims;
}

// NAME=[DTYPE:]D0xD1x...
std::optional<Tensor> to_input(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  Tensor tensor;
  tensor.name = text.substr(0, equals);
  std::string rest = text.substr(equals + 1);
  if (const std::size_t colon = rest.find(':'); colon != std::string::npos) {
    tensor.dtype = rest.substr(0, colon);
    rest.erase(0, colon + 1);
  } else if (rest.empty()) {
    return std::nullopt;
  }
  const std::optional<std::vector<std::int64_t>> dims = to_dims(rest);
  if (!dims || dims->size() > kMaxDims || !tensor_bytes(tensor.dtype, *dims)) return std::nullopt;
  tensor.dims = *dims;
  return tensor;
}

// The two sides of A=B; empty where one of them is.
std::optional<std::pair<std::string, std::string>> split(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

bool set_option(RunOptions& options, const std::string& text) {
  auto sides = split(text);
  if (sides) options.named[sides->first] = sides->second;
  return sides.has_value();
}

bool add_file(Load& load, const std::string& text) {
  auto sides = split(text);
  if (sides) load.files.push_back({sides->first, sides->second});
  return sides.has_value();
}

bool add_library(Load& load, const std::string& path) {
  load.files.push_back({"library", path, path.substr(path.rfind('/') + 1)});
  return !path.empty();
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

using Flags = std::map<std::string, std::function<void()>>;
using Values = std::map<std::string, std::function<bool(const std::string&)>>;

Flags flags_of(CommandLine& line) {
  using Mode = CommandLine::Mode;
  return {
      {"--help", [&] { line.mode = Mode::kHelp; }},
      {"--version", [&] { line.mode = Mode::kVersion; }},
      {"--bare", [&] { line.mode = Mode::kBare; }},
      {"--summary", [&] { line.summary = true; }},
  };
}

Values values_of(CommandLine& line) {
  Load& load = line.load;
  Bench& bench = line.bench;
  const auto text = [](std::string& field) {
    return [&field](const std::string& given) {
      field = given;
      return !given.empty();
    };
  };
  return {
      {"--control-fd",
       [&](const std::string& given) {
         const std::optional<std::uint32_t> value = to_number(given);
         line.mode = CommandLine::Mode::kServe;
         line.control_socket = static_cast<int>(value.value_or(0));
         return value.has_value() && *value <= 1024;
       }},
      {"--file", [&](const std::string& given) { return add_file(load, given); }},
      {"--library", [&](const std::string& given) { return add_library(load, given); }},
      {"--prepared", text(load.prepared_path)},
      {"--input", [&](const std::string& given) { return add_input(bench, given); }},
      {"--output",
       [&](const std::string& given) {
         load.outputs.push_back(given);
         return true;
       }},
      {"--threads",
       [&](const std::string& given) { return set_number(load.options.threads, given); }},
      {"--cores", [&](const std::string& given) { return set_cores(load.options, given); }},
      {"--accelerator", text(load.options.accelerator)},
      {"--precision", text(load.options.precision)},
      {"--set", [&](const std::string& given) { return set_option(load.options, given); }},
      {"--warmup", [&](const std::string& given) { return set_number(bench.warmup, given); }},
      {"--iterations",
       [&](const std::string& given) { return set_number(bench.iterations, given); }},
      {"--seconds", [&](const std::string& given) { return set_seconds(bench, given); }},
      {"--pause-ms",
       [&](const std::string& given) {
         const std::optional<std::uint32_t> value = to_number(given);
         bench.pause_ns = std::int64_t{1000000} * value.value_or(0);
         return value.has_value();
       }},
  };
}

}  // namespace

std::string usage(const WorkerFacts& facts) {
  std::string text =
      "  --control-fd N              serve the agent on this socket\n"
      "  --bare                      time a model alone: one nanosecond sample a line\n"
      "    --file ROLE=PATH          a file of the model, e.g. param=model.param\n"
      "    --library PATH            a shared library that the runtime is in\n"
      "    --input NAME=[TYPE:]D0xD1x...\n"
      "                              an input, its element type (float32) and its dims, slowest\n"
      "                              axis first; seeded noise\n"
      "    --output NAME             a tensor to compute; without it the model's outputs\n"
      "    --threads N               0: as many as physical cores of the selected ones are free\n"
      "                              to the worker (the default)\n"
      "    --cores all|little|big    --accelerator NAME (cpu)  --precision NAME (fp32)\n"
      "    --warmup N (5)  --iterations N (50) | --seconds S  --pause-ms N (0)\n"
      "    --summary                 min, mean, stdev, p50, p90, p99 in place of the samples\n";
  if (facts.prepares) {
    text +=
        "    --prepared FILE           what was made of the model; made there if it is missing\n";
  }
  text += "  --version\n";
  if (facts.option_count > 0) text += "The runtime's own options, by --set NAME=VALUE:\n";
  for (const OptionFact& option : facts) {
    text += "  " + std::string(option.name) + " (" + values_text(option) + ")\n      " +
            std::string(option.help) + "\n";
  }
  return text;
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& words,
                                       const WorkerFacts& facts) {
  CommandLine line;
  line.bench.warmup = 5;
  line.bench.iterations = 50;
  line.load.options.precision = "fp32";
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
  if (Status status = settle_options(facts, line.load.options); !status) {
    return misuse(status.failure().message);
  }
  return line;
}

}  // namespace dx
