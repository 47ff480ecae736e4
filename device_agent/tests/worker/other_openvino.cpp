// A library that looks like OpenVINO of another version, for the test that it is refused.
#include <openvino/c/ov_core.h>

extern "C" {

ov_status_e ov_get_openvino_version(ov_version_t* version) {
  version->buildNumber = "2024.1.0-1-abc";
  version->description = "";
  return OK;
}

void ov_version_free(ov_version_t*) {}
}
