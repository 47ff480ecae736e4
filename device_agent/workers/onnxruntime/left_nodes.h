// The nodes of a session that its provider left to the processor.
#pragma once

#include <onnxruntime_c_api.h>

#include <string>
#include <vector>

#include "common/result.h"
#include "workers/onnxruntime/library.h"

namespace dx {

struct LeftNode {
  std::string name;
  std::string type;
};

// REQUIRES: the session was made to tell where its nodes are.
Result<std::vector<LeftNode>> left_nodes(const Library& library, const OrtSession* session,
                                         const std::string& provider);

// "Det (node 'determinant'), Atan (node 'angle') and 3 more"
std::string left_nodes_text(const std::vector<LeftNode>& nodes);

}  // namespace dx
