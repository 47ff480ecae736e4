// Loading a model: what is checked before the library sees it, and what it tells of the model.
#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <limits>
#include <utility>

#include "common/text.h"
#include "workers/core/cores.h"
#include "workers/core/options.h"
#include "workers/rknn/board.h"
#include "workers/rknn/elements.h"
#include "workers/rknn/model_file.h"
#include "workers/rknn/rknn_model.h"

namespace dx {
namespace {

// Below it a copy costs less than what it saves.
constexpr std::uint32_t kLargeInput = 64 * 1024;

struct MaskName {
  const char* name;
  rknn::CoreMask mask;
  int cores;  // that the NPU must have
};
constexpr std::array<MaskName, 7> kMasks{{{"auto", rknn::kCoreAuto, 1},
                                          {"0", rknn::kCore0, 1},
                                          {"1", rknn::kCore1, 2},
                                          {"2", rknn::kCore2, 3},
                                          {"0_1", rknn::kCore01, 2},
                                          {"0_1_2", rknn::kCore012, 3},
                                          {"all", rknn::kCoreAll, 1}}};

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

Failure refuse_option(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kLoad};
}

const MaskName& mask_of(const std::string& name) {
  return *std::find_if(kMasks.begin(), kMasks.end() - 1,
                       [&name](const MaskName& one) { return name == one.name; });
}

// "cpu" is what nobody chose.
Status check_request(const Load& request) {
  const std::string& accelerator = request.options.accelerator;
  if (accelerator != "cpu") {
    return refuse_option("RKNN computes on the NPU, not on '" + printable(accelerator, 80) +
                         "': leave the accelerator out");
  }
  return bind_to_cores(request.options.cores);
}

Status check_chip(const ModelFileFacts& facts, const NpuBoard& board) {
  if (facts.chips.empty() || npu_cores(board.chip) == 0) return {};
  for (const std::string& chip : facts.chips) {
    if (same_npu(chip, board.chip)) return {};
  }
  return refuse("the model is for " + list_text(facts.chips) + ", the board has an " + board.chip +
                ": convert it with --soc " + board.chip);
}

Status check_core_mask(const std::string& name, const std::string& chip) {
  const int cores = npu_cores(chip);
  if (cores == 0 || mask_of(name).cores <= cores) return {};
  std::vector<std::string> known;
  for (const MaskName& mask : kMasks) {
    if (mask.cores <= cores) known.emplace_back(mask.name);
  }
  return refuse_option("option core_mask: the NPU of " + chip + " has " + std::to_string(cores) +
                       (cores == 1 ? " core" : " cores") + " (" + list_text(known) + "), got " +
                       name);
}

// What keeps the library from loading a model, and what to do.
std::string advice(int code, const NpuBoard& board) {
  switch (code) {
    case rknn::kNoMemory:
      return "end other programs that use the NPU, or take a smaller model";
    case rknn::kOtherPlatform:
      return "convert it for the board's chip (--soc)";
    case rknn::kDeviceUnmatched:
    case rknn::kPrecompiledElsewhere:
    case rknn::kOtherOptimization:
      return "bring a kernel with a newer NPU driver onto the board, or the library of its version";
    default:
      break;
  }
  if (board.nodes.empty()) {
    return "there is no NPU driver on this board (neither /dev/rknpu nor a render node of it): "
           "start the maker's kernel, as Rockchip's library does not use the mainline one's driver";
  }
  return "copy librknnrt.so of the toolkit's version to the board's /usr/lib, and see that the "
         "driver is of its time";
}

}  // namespace

std::string RknnRuntime::version() const {
  Result<const Library*> library = Library::open();
  return library ? library.value()->version() : "";
}

Result<std::unique_ptr<Model>> RknnRuntime::load(const Load& request) {
  try {
    return RknnModel::load(request);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be loaded: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> RknnModel::load(const Load& request) {
  if (Status status = check_request(request); !status) return status.failure();
  Result<const Library*> library = Library::open();
  if (!library) return library.failure();
  std::unique_ptr<RknnModel> model(new RknnModel(*library.value()));
  const auto start = std::chrono::steady_clock::now();
  if (Status status = model->open(request); !status) return status.failure();
  const auto took = std::chrono::steady_clock::now() - start;
  model->info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  if (Status status = model->describe(request); !status) return status.failure();
  return std::unique_ptr<Model>(std::move(model));
}

Status RknnModel::open(const Load& request) {
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(path_of(request, "rknn"));
  if (!file) return file.failure();
  file_ = std::move(file).value();
  Result<ModelFileFacts> facts = read_model_file(file_->content());
  if (!facts) return facts.failure();
  if (file_->content().size() > std::numeric_limits<std::uint32_t>::max()) {
    return refuse("the file is larger than the 4 GiB that Rockchip's library takes");
  }
  const NpuBoard board = NpuBoard::read();
  versions_ = {facts.value().toolkit, library_.version(), board.driver};
  core_mask_ = text_of(request.options, "core_mask").value_or("auto");
  const std::vector<std::string>& chips = facts.value().chips;
  const bool knows_board = npu_cores(board.chip) != 0 || chips.empty();
  const std::string chip = knows_board ? board.chip : chips.front();
  if (Status status = check_core_mask(core_mask_, chip); !status) return status;
  if (npu_cores(chip) == 1) core_mask_ = "auto";  // libraries refuse a choice there
  if (Status status = check_chip(facts.value(), board); !status) return status;
  if (switch_of(request.options, "check_versions").value_or(true)) {
    if (Status status = check_versions(versions_); !status) return status;
  }
  if (const std::string closed = closed_node_text(board.nodes); !closed.empty()) {
    return refuse(closed);
  }
  int code = rknn::kSuccess;
  context_ = RknnContext::open(api_, file_->content(), 0, code);
  if (context_ != nullptr) return set_core_mask(*context_, core_mask_);
  return refuse("Rockchip's library does not load the model: " + error_text(code) + "; " +
                versions_.text() + ": " + advice(code, board));
}

Status RknnModel::set_core_mask(const RknnContext& context, const std::string& mask) const {
  if (mask == "auto") return {};
  if (api_.set_core_mask == nullptr) {
    return refuse_option("option core_mask: the board's runtime library has no such choice");
  }
  const int code = api_.set_core_mask(context.handle(), mask_of(mask).mask);
  if (code == rknn::kSuccess) return {};
  return refuse_option("option core_mask: the board's runtime library refuses " + mask + ": " +
                       error_text(code));
}

Status RknnModel::describe(const Load& request) {
  rknn::Counts counts{};
  if (const int code = context_->ask(rknn::kCounts, counts); code != rknn::kSuccess) {
    return failed("the library does not tell the model's inputs", code);
  }
  Result<std::vector<Place>> inputs = places(rknn::kInputAttributes, counts.inputs);
  if (!inputs) return inputs.failure();
  Result<std::vector<Place>> outputs = places(rknn::kOutputAttributes, counts.outputs);
  if (!outputs) return outputs.failure();
  inputs_ = std::move(inputs).value();
  outputs_ = std::move(outputs).value();
  std::vector<Port> ports;
  for (const Place& place : outputs_) ports.push_back(place.port);
  if (Status status = choose_ports(ports, request.outputs); !status) return status;
  for (const Port& port : ports) {
    const auto found = std::find_if(outputs_.begin(), outputs_.end(), [&port](const Place& place) {
      return place.port.name == port.name;
    });
    wanted_.push_back(static_cast<std::size_t>(found - outputs_.begin()));
  }
  info_.outputs = infos_of(ports);
  for (const Place& place : inputs_) {
    info_.inputs.push_back({place.port.name, place.port.dtype, place.port.dims});
  }
  tell_board();
  // Now by what the library says itself.
  if (switch_of(request.options, "check_versions").value_or(true)) {
    if (Status status = check_versions(versions_); !status) return status;
  }
  const auto can = [](const Place& place) { return can_write(place.attributes); };
  const auto is_large = [](const Place& place) { return place.attributes.bytes >= kLargeInput; };
  const bool possible = std::all_of(inputs_.begin(), inputs_.end(), can);
  const std::optional<bool> asked = switch_of(request.options, "zero_copy");
  if (asked.value_or(false) && !possible) {
    return refuse_option(
        "option zero_copy: an input of this model is neither int8 nor fp16 in an "
        "order that can be written; leave it out");
  }
  const bool pays = possible && std::any_of(inputs_.begin(), inputs_.end(), is_large);
  return asked.value_or(pays) ? share_memory() : Status{};
}

Result<std::vector<RknnModel::Place>> RknnModel::places(rknn::Query query,
                                                        std::uint32_t count) const {
  std::vector<Place> places;
  for (std::uint32_t i = 0; i < count; ++i) {
    Place place{};
    place.attributes.index = i;
    const int code = context_->ask(query, place.attributes);
    if (code != rknn::kSuccess) {
      return failed("the library does not tell the model's tensors", code).failure();
    }
    const char* const name = place.attributes.name;
    const auto length =
        static_cast<std::size_t>(std::find(name, name + rknn::kNameBytes, '\0') - name);
    place.port = {{name, length}, "float32", onnx_dims(place.attributes)};
    places.push_back(std::move(place));
  }
  return places;
}

Status RknnModel::share_memory() {
  const auto take = [this](Place& place, std::uint32_t bytes) -> Status {
    place.memory = RknnMemory::make(api_, *context_, bytes);
    if (place.memory == nullptr) {
      return failed("no memory that the NPU reads for '" + printable(place.port.name, 80) + "'",
                    rknn::kNoMemory);
    }
    const int code = api_.set_memory(context_->handle(), place.memory->get(), &place.attributes);
    if (code == rknn::kSuccess) return {};
    return failed("the library does not take memory for '" + printable(place.port.name, 80) +
                      "' (leave the option zero_copy off)",
                  code);
  };
  for (Place& place : inputs_) {
    if (Status status = take(place, place.attributes.bytes_with_stride); !status) return status;
  }
  for (Place& place : outputs_) {
    place.attributes.type = rknn::kFloat32;
    const auto bytes = static_cast<std::uint32_t>(place.attributes.elements * sizeof(float));
    if (Status status = take(place, bytes); !status) return status;
  }
  shares_memory_ = true;
  return {};
}

// What the library tells once it has the NPU.
void RknnModel::tell_board() {
  rknn::Versions versions{};
  if (context_->ask(rknn::kVersions, versions) == rknn::kSuccess) {
    const auto first_word = [](const char (&text)[256]) {
      const std::string all(
          text, static_cast<std::size_t>(std::find(std::begin(text), std::end(text), '\0') - text));
      return printable(all.substr(0, all.find(' ')), 40);
    };
    versions_.library = first_word(versions.library);
    versions_.driver = first_word(versions.driver);
  }
  info_.runtime_version = versions_.library + " (" +
                          (versions_.driver.empty() ? "" : "driver " + versions_.driver + ", ") +
                          "model by toolkit " +
                          (versions_.toolkit.empty() ? "not told" : versions_.toolkit) + ")";
  info_.threads = 1;  // it waits for the NPU
  rknn::MemorySizes sizes{};
  if (context_->ask(rknn::kMemory, sizes) == rknn::kSuccess) {
    const std::uint64_t own = std::uint64_t{sizes.weights} + sizes.internal;
    info_.accelerator_bytes = std::max(sizes.all, own);
  }
}

Status RknnModel::failed(const std::string& what, int code) const {
  return refuse(what + ": " + error_text(code) + "; " + versions_.text());
}

}  // namespace dx
