#include "workers/tensorrt/engine_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/text.h"

namespace dx {
namespace {

// One line; the engine follows.
constexpr std::string_view kMagic = "deployx-engine 1 TensorRT ";
constexpr std::size_t kLongestLine = 200;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string line_of(const EngineOrigin& origin, std::size_t bytes) {
  return std::string(kMagic) + origin.tensorrt + " " + origin.gpu + " " + std::to_string(bytes) +
         "\n";
}

}  // namespace

Status write_engine(const std::string& path, const EngineOrigin& origin, std::string_view engine) {
  const std::string line = line_of(origin, engine.size());
  std::FILE* const file = std::fopen(path.c_str(), "we");
  bool written = file != nullptr && std::fwrite(line.data(), 1, line.size(), file) == line.size() &&
                 std::fwrite(engine.data(), 1, engine.size(), file) == engine.size();
  int error = written ? 0 : errno;
  if (file != nullptr && std::fclose(file) != 0 && written) {
    written = false;
    error = errno;
  }
  if (written) return {};
  (void)::unlink(path.c_str());
  return Failure{FailureCode::kRuntimeRefused,
                 "the engine cannot be written to " + path + ": " + std::strerror(error),
                 Phase::kPrepare};
}

Result<std::string_view> read_engine(std::string_view content, const EngineOrigin& here) {
  const std::size_t end = content.substr(0, kLongestLine).find('\n');
  if (end == std::string_view::npos || content.substr(0, kMagic.size()) != kMagic) {
    return refuse("what was prepared is not an engine of this worker's");
  }
  const std::string_view line = content.substr(0, end + 1);
  const std::string_view engine = content.substr(end + 1);
  if (line == line_of(here, engine.size())) return engine;
  const std::string told =
      printable(std::string(line.substr(kMagic.size(), end - kMagic.size())), kLongestLine);
  return refuse("the engine that was prepared is of TensorRT " + told +
                " bytes; here are TensorRT " + here.tensorrt + ", " + here.gpu + " and " +
                std::to_string(engine.size()) + " bytes");
}

}  // namespace dx
