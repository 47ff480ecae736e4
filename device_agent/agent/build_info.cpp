#include "agent/build_info.h"

namespace dx {

const BuildInfo& build_info() {
  static const BuildInfo info{DX_VERSION_TEXT, DX_TARGET_ID_TEXT, DX_COMPILER_TEXT,
                              DX_BUILD_TYPE_TEXT, DX_SANITIZE_TEXT};
  return info;
}

}  // namespace dx
