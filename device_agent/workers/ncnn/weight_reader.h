// Reads a .bin and notices what ncnn does not: layers may take a short read as success, and nobody
// looks whether bytes are left over.
#pragma once

#include <datareader.h>

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>

namespace dx {

class WeightReader : public ncnn::DataReader {
 public:
  explicit WeightReader(const std::string& path) : file_(std::fopen(path.c_str(), "rb")) {}
  ~WeightReader() override {
    if (file_ != nullptr) std::fclose(file_);
  }
  WeightReader(const WeightReader&) = delete;
  WeightReader& operator=(const WeightReader&) = delete;

  bool is_open() const { return file_ != nullptr; }

  std::size_t read(void* buffer, std::size_t size) const override {
    const std::size_t got = std::fread(buffer, 1, size, file_);
    consumed_ += got;
    if (got < size) missing_ += size - got;
    return got;
  }

  bool ended_early() const { return missing_ > 0; }

  // What is wrong with the file's length after all weights were read; empty where it fits exactly.
  std::optional<std::string> misfit() const {
    if (missing_ > 0) {
      return "it ends after " + std::to_string(consumed_) +
             " bytes and the .param wants at least " + std::to_string(missing_) +
             " more: it is cut off, or belongs to another .param";
    }
    if (std::fgetc(file_) != EOF) {
      return "the .param takes " + std::to_string(consumed_) +
             " bytes and the file goes on: it belongs to another .param";
    }
    return std::nullopt;
  }

 private:
  std::FILE* const file_;
  // ncnn's interface makes `read` const.
  mutable std::size_t consumed_ = 0;
  mutable std::size_t missing_ = 0;
};

}  // namespace dx
