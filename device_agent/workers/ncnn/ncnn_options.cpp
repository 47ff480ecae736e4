#include "workers/ncnn/ncnn_options.h"

#include <cpu.h>
#include <gpu.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/processors.h"
#include "common/text.h"
#include "workers/core/options.h"

namespace dx {
namespace {

constexpr std::uint32_t kMaxThreads = 1024;

Failure refuse(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kLoad};
}

Status choose_accelerator(const std::string& name, ncnn::Option& option) {
  if (name == "cpu" || name.empty()) return {};
  if (name != "vulkan") {
    return refuse("accelerator '" + printable(name, 80) + "' is unknown to ncnn: ask for cpu");
  }
  if (!has_vulkan()) {
    return refuse(
        "accelerator 'vulkan': this build of the ncnn worker cannot do it, or the board "
        "has no Vulkan device: ask for cpu");
  }
  option.use_vulkan_compute = true;
  return {};
}

// Of the cores asked for those that this process may run on: whoever started it may have chosen.
Status bind_to(CoreSelection cores) {
  if (cores == CoreSelection::kAll) return {};
  const bool little = cores == CoreSelection::kLittle;
  if (little && ncnn::get_little_cpu_count() == 0) {
    return refuse("cores 'little': this board's cores are all of one kind: ask for all");
  }
  const ncnn::CpuSet& wanted = ncnn::get_cpu_thread_affinity_mask(little ? 1 : 2);
  if (wanted.num_enabled() == 0) return {};  // all are of one kind
  ncnn::CpuSet both;
  for (const int cpu : allowed_processors()) {
    if (wanted.is_enabled(cpu)) both.enable(cpu);
  }
  if (both.num_enabled() == 0) {
    return refuse(std::string("cores '") + (little ? "little" : "big") +
                  "': the worker may use none of them (its affinity): ask for all");
  }
  if (ncnn::set_cpu_thread_affinity(both) != 0) {
    return refuse("ncnn could not choose the cores: ask for all");
  }
  return {};
}

// What a precision asks of the storage and the arithmetic; "" leaves them as ncnn has them.
Status choose_precision(const std::string& name, ncnn::Option& option) {
  if (name.empty()) return {};
  if (name != "fp32" && name != "fp16" && name != "bf16" && name != "int8") {
    return refuse("precision '" + printable(name, 80) +
                  "' is unknown to ncnn: ask for fp32, fp16, bf16 or int8");
  }
  option.use_fp16_storage = option.use_fp16_arithmetic = option.use_fp16_packed = name == "fp16";
  option.use_bf16_storage = name == "bf16";
  if (name == "int8") option.use_int8_inference = true;
  return {};
}

void choose_single_options(const RunOptions& request, ncnn::Option& option) {
  const auto set = [&request](const char* name, bool& field) {
    field = switch_of(request, name).value_or(field);
  };
  set("fp16_storage", option.use_fp16_storage);
  set("fp16_arithmetic", option.use_fp16_arithmetic);
  set("fp16_packed", option.use_fp16_packed);
  set("bf16_storage", option.use_bf16_storage);
  set("int8_inference", option.use_int8_inference);
  set("packing_layout", option.use_packing_layout);
  set("winograd_convolution", option.use_winograd_convolution);
  set("sgemm_convolution", option.use_sgemm_convolution);
}

}  // namespace

bool has_vulkan() {
#if NCNN_VULKAN
  return ncnn::get_gpu_count() > 0;
#else
  return false;
#endif
}

Status apply_options(const RunOptions& request, ncnn::Option& option) {
  if (request.threads > kMaxThreads) {
    return refuse("threads: at most 1024, got " + std::to_string(request.threads));
  }
  if (Status status = choose_accelerator(request.accelerator, option); !status) return status;
  if (Status status = bind_to(request.cores); !status) return status;
  // The cores asked for are those of this thread's affinity by now.
  option.num_threads = request.threads != 0 ? static_cast<int>(request.threads) : free_cores();
  if (Status status = choose_precision(request.precision, option); !status) return status;
  choose_single_options(request, option);
  return {};
}

}  // namespace dx
