#include "workers/snpe/build.h"

#include <utility>

#include "common/text.h"
#include "workers/core/options.h"
#include "workers/core/runtime.h"

namespace dx {
namespace {

// A call that says whether it succeeded.
Status check(const Library& library, Snpe_ErrorCode_t code, const std::string& what) {
  if (code == SNPE_SUCCESS) return {};
  return library.failure(what);
}

Status add_packages(const Library& library, const RunOptions& options) {
  const auto named = text_of(options, "udo_package");
  if (!named) return {};
  for (const std::string& path : words_of(*named)) {
    if (library.api().Snpe_Util_AddOpPackage(path.c_str()) == 0) {
      return library.failure("SNPE does not take the UDO package " + printable(path, 200));
    }
  }
  return {};
}

Status set_order(const Library& library, void* builder, const Order& order) {
  const SnpeApi& api = library.api();
  const Handle list(api.Snpe_RuntimeList_Create(), api.Snpe_RuntimeList_Delete);
  for (const Place& place : order.places) {
    const Snpe_ErrorCode_t added = api.Snpe_RuntimeList_Add(list.get(), place.runtime);
    if (Status status = check(library, added, "SNPE does not take its runtime " + place.name);
        !status) {
      return status;
    }
  }
  return check(library, api.Snpe_SNPEBuilder_SetRuntimeProcessorOrder(builder, list.get()),
               "SNPE does not take the runtimes " + order.text());
}

Status set_outputs(const Library& library, void* builder, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const SnpeApi& api = library.api();
  const Handle list(api.Snpe_StringList_Create(), api.Snpe_StringList_Delete);
  for (const std::string& name : names) {
    (void)api.Snpe_StringList_Append(list.get(), name.c_str());
  }
  return check(library, api.Snpe_SNPEBuilder_SetOutputTensors(builder, list.get()),
               "SNPE does not give the outputs " + list_text(names));
}

Status set_options(const Library& library, void* builder, const RunOptions& options) {
  const SnpeApi& api = library.api();
  if (const auto word = text_of(options, "performance_profile")) {
    const Result<Snpe_PerformanceProfile_t> profile = profile_of(*word);
    if (!profile) return profile.failure();
    const auto set = api.Snpe_SNPEBuilder_SetPerformanceProfile(builder, profile.value());
    if (Status status = check(library, set, "SNPE does not take performance_profile=" + *word);
        !status) {
      return status;
    }
  }
  if (text_of(options, "diag_log")) {
    const auto set = api.Snpe_SNPEBuilder_SetProfilingLevel(builder, SNPE_PROFILING_LEVEL_DETAILED);
    if (Status status = check(library, set, "SNPE does not note layers"); !status) return status;
  }
  return check(library, api.Snpe_SNPEBuilder_SetUseUserSuppliedBuffers(builder, 1),
               "SNPE takes no buffers of ours");
}

// The network, empty where SNPE refuses to build it for these runtimes.
Result<Handle> build(const Library& library, void* container, const Order& order,
                     const Load& request) {
  const SnpeApi& api = library.api();
  const Handle builder(api.Snpe_SNPEBuilder_Create(container), api.Snpe_SNPEBuilder_Delete);
  if (!builder) return library.failure("SNPE does not start");
  if (Status status = set_order(library, builder.get(), order); !status) return status.failure();
  if (Status status = set_outputs(library, builder.get(), request.outputs); !status) {
    return status.failure();
  }
  if (Status status = set_options(library, builder.get(), request.options); !status) {
    return status.failure();
  }
  return Handle(api.Snpe_SNPEBuilder_Build(builder.get()), api.Snpe_SNPE_Delete);
}

}  // namespace

std::vector<std::string> strings_of(const Library& library, const Handle& list) {
  const SnpeApi& api = library.api();
  std::vector<std::string> strings;
  for (std::size_t i = 0; list && i < api.Snpe_StringList_Size(list.get()); ++i) {
    strings.emplace_back(api.Snpe_StringList_At(list.get(), i));
  }
  return strings;
}

Result<Built> build_network(const Library& library, const Load& request) {
  Result<Order> order = read_order(library, request.options);
  if (!order) return order.failure();
  if (Status status = add_packages(library, request.options); !status) return status.failure();
  const Handle container(library.api().Snpe_DlContainer_Open(path_of(request, "dlc").c_str()),
                         library.api().Snpe_DlContainer_Delete);
  if (!container) return library.failure("SNPE does not read the model");
  Order asked = std::move(order).value();
  if (switch_of(request.options, "allow_fallback").value_or(false) &&
      !asked.has(processor().name)) {
    asked.places.push_back(processor());
  }
  Built built{Handle(nullptr, library.api().Snpe_SNPE_Delete), {}};
  for (const Place& place : asked.places) {
    built.order.places.push_back(place);
    Result<Handle> network = build(library, container.get(), built.order, request);
    if (!network) return network.failure();
    built.network = std::move(network).value();
    if (built.network) return built;
  }
  Failure refused = library.failure("SNPE does not run the model on " + asked.text() + " alone");
  refused.message +=
      "; name what may join (the option runtime_order, or allow_fallback=on for the "
      "processor), or take such layers out with --partition";
  return refused;
}

}  // namespace dx
