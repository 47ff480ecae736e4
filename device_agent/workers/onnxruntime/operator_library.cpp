// The shared library of all operators of our own that ONNX Runtime has. It calls nothing of ONNX
// Runtime's but through the interface that it is given, so that one file serves the worker and
// Python's package.
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "workers/onnxruntime/operator.h"

#define DX_OPERATOR(name)                 \
  namespace dx::op::name {                \
  dx::OrtOperator onnxruntime_operator(); \
  }
#include "onnxruntime_operators.inc"
#undef DX_OPERATOR

namespace {

// What sessions are given. Each may use it for as long as it lives, so it is never given up.
struct Registered {
  std::vector<std::unique_ptr<OrtCustomOp>> ops;
  std::map<std::string, OrtCustomOpDomain*> domains;
};

OrtStatus* add(const OrtApi& api, Registered& all, const dx::OrtOperator& row,
               const dx::op::NameFact& name) {
  OrtCustomOpDomain*& domain = all.domains[name.domain];
  if (domain == nullptr) {
    if (OrtStatus* status = api.CreateCustomOpDomain(name.domain, &domain)) return status;
  }
  all.ops.push_back(dx::custom_op(row, name));
  return api.CustomOpDomain_Add(domain, all.ops.back().get());
}

OrtStatus* add(const OrtApi& api, Registered& all, const dx::OrtOperator& row) {
  for (std::size_t i = 0; i < row.facts->name_count; ++i) {
    const dx::op::NameFact& name = row.facts->names[i];
    // Those of ONNX's own domain are ONNX Runtime's.
    if (*name.domain == '\0') continue;
    if (OrtStatus* status = add(api, all, row, name)) return status;
  }
  return nullptr;
}

OrtStatus* add_all(const OrtApi& api, Registered& all) {
#define DX_OPERATOR(name)                                                        \
  if (OrtStatus* status = add(api, all, dx::op::name::onnxruntime_operator())) { \
    return status;                                                               \
  }
#include "onnxruntime_operators.inc"
#undef DX_OPERATOR
  for (const dx::OrtOperator& row : dx::device_operators()) {
    const dx::op::NameFact name{dx::kDeviceDomain, row.facts->folder};
    if (OrtStatus* status = add(api, all, row, name)) return status;
  }
  return nullptr;
}

}  // namespace

// The function that ONNX Runtime looks for in a library of custom operators. It is called for each
// session, and makes the operators for the first.
extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* const api = base->GetApi(dx::kOrtApiVersion);
  if (api == nullptr) {
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "it is older than deployx-edge's operators");
  }
  static std::mutex mutex;
  static Registered* registered = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (registered == nullptr) {
    auto all = std::make_unique<Registered>();
    if (OrtStatus* status = add_all(*api, *all)) return status;
    registered = all.release();
  }
  for (const auto& [name, domain] : registered->domains) {
    if (OrtStatus* status = api->AddCustomOpDomain(options, domain)) return status;
  }
  return nullptr;
}
