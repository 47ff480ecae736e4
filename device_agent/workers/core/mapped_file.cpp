#include "workers/core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dx {

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  const auto cannot = [&path](int error) {
    return Failure{FailureCode::kRuntimeRefused, path + " cannot be read: " + std::strerror(error),
                   Phase::kLoad};
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return cannot(errno);
  struct stat status{};
  void* data = nullptr;
  int error = ::fstat(file, &status) == 0 ? 0 : errno;
  const auto size = static_cast<std::size_t>(error == 0 ? status.st_size : 0);
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) error = errno;
  }
  ::close(file);
  if (error != 0) return cannot(error);
  return std::unique_ptr<MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(data_, size_);
}

}  // namespace dx
