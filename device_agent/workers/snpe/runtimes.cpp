#include "workers/snpe/runtimes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/text.h"
#include "workers/core/closed_node.h"
#include "workers/core/options.h"

namespace dx {
namespace {

// The DSP and the AIP compute whole numbers; `gpu` stores halves and computes floats.
const std::array<Place, 5>& all_places() {
  static const std::array<Place, 5> places = {
      {{"dsp", SNPE_RUNTIME_DSP, "int8", "DSP"},
       {"gpu", SNPE_RUNTIME_GPU, "fp32", "GPU"},
       {"gpu_fp16", SNPE_RUNTIME_GPU_FLOAT16, "fp16", "GPU"},
       {"aip", SNPE_RUNTIME_AIP_FIXED8_TF, "int8", "AIP"},
       {"cpu", SNPE_RUNTIME_CPU, "fp32", "CPU"}}};
  return places;
}

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

Failure refuse_option(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kLoad};
}

// By which what computes there is reached, of newer and older kernels.
std::vector<std::string> nodes_of(const Place& place) {
  if (place.unit == "CPU") return {};
  if (place.unit == "GPU") return {"/dev/kgsl-3d0"};
  return {"/dev/fastrpc-cdsp", "/dev/fastrpc-cdsp-secure", "/dev/adsprpc-smd"};
}

std::string closed_text(const std::string& node) {
  return node.empty() ? ""
                      : "; this user may not open " + node +
                            ": put it into the group that owns it on the board, and connect again";
}

template <class Wanted>
std::string names_of(const Wanted& wanted) {
  std::vector<std::string> names;
  for (const Place& place : all_places()) {
    if (wanted(place)) names.push_back(place.name);
  }
  return names.empty() ? "none" : list_text(names);
}

}  // namespace

std::string Order::text() const {
  std::string text;
  for (const Place& place : places) text += (text.empty() ? "" : ", ") + place.name;
  return text;
}

bool Order::has(const std::string& name) const {
  return std::any_of(places.begin(), places.end(),
                     [&name](const Place& place) { return place.name == name; });
}

Place processor() { return all_places().back(); }

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

Result<Order> read_order(const Library& library, const RunOptions& options) {
  const auto exists = [&library](const Place& place) {
    return library.api().Snpe_Util_IsRuntimeAvailable(place.runtime) != 0;
  };
  Order order;
  for (const std::string& word : words_of(text_of(options, "runtime_order").value_or("dsp"))) {
    const auto found = std::find_if(all_places().begin(), all_places().end(),
                                    [&word](const Place& place) { return place.name == word; });
    if (found == all_places().end() || order.has(word)) {
      const std::string wrong = found == all_places().end() ? "has no" : "names twice the";
      return refuse_option("the option runtime_order " + wrong + " runtime '" +
                           printable(word, 80) + "'; there are " +
                           names_of([](const Place&) { return true; }));
    }
    if (!exists(*found)) {
      return refuse("SNPE " + library.version() + " finds no " + word +
                    " on this board that it may use; it has " + names_of(exists) +
                    " (the option runtime_order)" + closed_text(closed_node(nodes_of(*found))));
    }
    order.places.push_back(*found);
  }
  return order;
}

Result<Snpe_PerformanceProfile_t> profile_of(const std::string& word) {
  static const std::vector<std::pair<std::string, Snpe_PerformanceProfile_t>> profiles = {
      {"default", SNPE_PERFORMANCE_PROFILE_DEFAULT},
      {"balanced", SNPE_PERFORMANCE_PROFILE_BALANCED},
      {"high_performance", SNPE_PERFORMANCE_PROFILE_HIGH_PERFORMANCE},
      {"power_saver", SNPE_PERFORMANCE_PROFILE_POWER_SAVER},
      {"system_settings", SNPE_PERFORMANCE_PROFILE_SYSTEM_SETTINGS},
      {"sustained_high_performance", SNPE_PERFORMANCE_PROFILE_SUSTAINED_HIGH_PERFORMANCE},
      {"burst", SNPE_PERFORMANCE_PROFILE_BURST},
      {"low_power_saver", SNPE_PERFORMANCE_PROFILE_LOW_POWER_SAVER},
      {"high_power_saver", SNPE_PERFORMANCE_PROFILE_HIGH_POWER_SAVER},
      {"low_balanced", SNPE_PERFORMANCE_PROFILE_LOW_BALANCED},
      {"extreme_power_saver", SNPE_PERFORMANCE_PROFILE_EXTREME_POWERSAVER}};
  for (const auto& [name, profile] : profiles) {
    if (name == word) return profile;
  }
  return refuse_option("there is no performance profile '" + printable(word, 80) + "'");
}

}  // namespace dx
