// Qualcomm's provider for ONNX Runtime: a Snapdragon's HTP, on x86 its emulator.
#pragma once

#include <string>

#include "workers/onnxruntime/provider.h"

namespace dx {

class QnnProvider : public Provider {
 public:
  std::string title() const override { return "QNN"; }
  std::string version() const override { return DX_QNN_VERSION; }
  std::string unit() const override { return "NPU"; }
  std::string name() const override { return "QNNExecutionProvider"; }
  Status check(const Load& request) const override;
  std::string way_out() const override {
    return "take them out with --partition, or leave them there with allow_fallback=on";
  }
  bool may_leave(const RunOptions& options) const override;
  Status add_to(const Library& library, const Load& request, bool strict,
                const std::string& counts_at, OrtSessionOptions* options) const override;
  void add_parts(const std::string& counts_at,
                 std::vector<std::vector<LayerRun>>& runs) const override;
  Status keep(const Library& library, const std::string& path,
              OrtSessionOptions* options) const override;
  Status seal(const Load& request) const override;
  Status fits(const Load& request) const override;
  Status started(const std::string& error) const override;
  std::string prepared_elsewhere(const Load& request) const override;
};

}  // namespace dx
