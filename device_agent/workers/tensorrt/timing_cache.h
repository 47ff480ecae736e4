// What TensorRT measured of layers on this board, kept for the next engine that it builds here.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <string>

namespace dx {

// Where it is kept: one file for a version of TensorRT and a GPU; "" where nothing is kept.
std::string timing_cache_path(const std::string& folder, const std::string& version,
                              const std::string& gpu);

// Belongs to one configuration, which must outlive it. A build does without wherever something of
// it fails: then it takes longer, no more.
class TimingCache {
 public:
  // Gives the configuration what was measured before, nothing where the file is not there or of
  // another TensorRT. Null where TensorRT takes none.
  static std::unique_ptr<TimingCache> open(nvinfer1::IBuilderConfig& config,
                                           const std::string& path);

  // Writes what is known after a build, by renaming.
  void keep() const;

 private:
  TimingCache(nvinfer1::IBuilderConfig& config, std::string path,
              std::unique_ptr<nvinfer1::ITimingCache> cache);

  nvinfer1::IBuilderConfig& config_;
  const std::string path_;
  const std::unique_ptr<nvinfer1::ITimingCache> cache_;
};

}  // namespace dx
