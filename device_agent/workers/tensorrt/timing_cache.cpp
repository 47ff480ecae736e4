#include "workers/tensorrt/timing_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <utility>

namespace dx {
namespace {

constexpr off_t kMostBytes = off_t{256} << 20;

// The content of a file of this user's own; "" for any other, and for none.
std::string read_own(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return "";
  std::string content;
  struct stat status{};
  const bool is_own = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                      status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
                      status.st_size <= kMostBytes;
  if (is_own) {
    content.resize(static_cast<std::size_t>(status.st_size));
    const ssize_t got = ::read(file, content.data(), content.size());
    content.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  (void)::close(file);
  return content;
}

bool write_all_of(const std::string& path, const void* data, std::size_t size) {
  std::FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return false;
  const bool written = std::fwrite(data, 1, size, file) == size;
  return std::fclose(file) == 0 && written;
}

}  // namespace

std::string timing_cache_path(const std::string& folder, const std::string& version,
                              const std::string& gpu) {
  return folder.empty() ? "" : folder + "/timings-tensorrt-" + version + "-" + gpu;
}

TimingCache::TimingCache(nvinfer1::IBuilderConfig& config, std::string path,
                         std::unique_ptr<nvinfer1::ITimingCache> cache)
    : config_(config), path_(std::move(path)), cache_(std::move(cache)) {}

std::unique_ptr<TimingCache> TimingCache::open(nvinfer1::IBuilderConfig& config,
                                               const std::string& path) {
  const std::string known = path.empty() ? "" : read_own(path);
  std::unique_ptr<nvinfer1::ITimingCache> cache(
      config.createTimingCache(known.data(), known.size()));
  // What another version measured is refused, and what is no timing cache at all is not made into
  // one: then it begins with nothing.
  if (!cache || !config.setTimingCache(*cache, false)) {
    cache.reset(config.createTimingCache(nullptr, 0));
    if (!cache || !config.setTimingCache(*cache, false)) return nullptr;
  }
  return std::unique_ptr<TimingCache>(new TimingCache(config, path, std::move(cache)));
}

void TimingCache::keep() const {
  const nvinfer1::ITimingCache* const measured = config_.getTimingCache();
  if (path_.empty() || measured == nullptr) return;
  const std::unique_ptr<nvinfer1::IHostMemory> content(measured->serialize());
  if (!content) return;
  const std::string part = path_ + "." + std::to_string(::getpid()) + ".part";
  if (write_all_of(part, content->data(), content->size()) &&
      std::rename(part.c_str(), path_.c_str()) == 0) {
    return;
  }
  (void)::unlink(part.c_str());
}

}  // namespace dx
