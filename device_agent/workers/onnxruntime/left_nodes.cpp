#include "workers/onnxruntime/left_nodes.h"

#include <cstddef>

#include "common/text.h"
#include "workers/onnxruntime/later_api.h"

namespace dx {
namespace {

constexpr std::size_t kNamed = 5;
constexpr std::size_t kLongestName = 80;

Status add_nodes(const Library& library, const later::EpPart* part, std::vector<LeftNode>& found) {
  const OrtApi& api = library.api();
  const std::string what = "ONNX Runtime does not tell where nodes run";
  const later::EpNode* const* nodes = nullptr;
  std::size_t count = 0;
  Status status = library.check(later::PartNodes::call(api, part, &nodes, &count), what);
  for (std::size_t i = 0; status && i < count; ++i) {
    const char* name = nullptr;
    const char* type = nullptr;
    status = library.check(later::NodeName::call(api, nodes[i], &name), what);
    if (status) status = library.check(later::NodeOperator::call(api, nodes[i], &type), what);
    if (status) found.push_back({name, type});
  }
  return status;
}

}  // namespace

Result<std::vector<LeftNode>> left_nodes(const Library& library, const OrtSession* session,
                                         const std::string& provider) {
  const OrtApi& api = library.api();
  const std::string what = "ONNX Runtime does not tell where nodes run";
  const later::EpPart* const* parts = nullptr;
  std::size_t count = 0;
  Status status = library.check(later::SessionParts::call(api, session, &parts, &count), what);
  std::vector<LeftNode> found;
  for (std::size_t i = 0; status && i < count; ++i) {
    const char* name = nullptr;
    status = library.check(later::PartEpName::call(api, parts[i], &name), what);
    if (status && name != provider) status = add_nodes(library, parts[i], found);
  }
  if (!status) return status.failure();
  return found;
}

std::string left_nodes_text(const std::vector<LeftNode>& nodes) {
  std::string text;
  for (std::size_t i = 0; i < nodes.size() && i < kNamed; ++i) {
    text += (i == 0 ? "" : ", ") + printable(nodes[i].type, kLongestName) + " (node '" +
            printable(nodes[i].name, kLongestName) + "')";
  }
  if (nodes.size() > kNamed) text += " and " + std::to_string(nodes.size() - kNamed) + " more";
  return text;
}

}  // namespace dx
