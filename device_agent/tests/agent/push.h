#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "agent/crypto/sha256.h"
#include "agent/files/unique_fd.h"
#include "agent/receive/receive.h"

namespace dx::test {

inline std::string sha256_of(const std::string& bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

// The host's end of a push to a receiver that runs in a thread of its own.
class Push {
 public:
  explicit Push(const WorkFolder& work, Keeping keeping = {}) {
    int in[2];
    int out[2];
    REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
    input_.reset(in[1]);
    output_.reset(out[0]);
    thread_ = std::thread([this, work, keeping, read_end = in[0], write_end = out[1]] {
      exit_code_ = receive(work, keeping, read_end, write_end);
      ::close(read_end);
      ::close(write_end);
    });
  }
  Push(const Push&) = delete;
  Push& operator=(const Push&) = delete;
  ~Push() {
    input_.reset();
    output_.reset();
    if (thread_.joinable()) thread_.join();
  }

  // A receiver that has given up takes no more; what it said is still to be read.
  void write(const std::string& bytes) { static_cast<void>(write_fully(input_.get(), bytes)); }

  // The next line, empty at the end.
  std::string line() {
    std::string text;
    char byte = 0;
    while (::read(output_.get(), &byte, 1) == 1 && byte != '\n') text += byte;
    return text;
  }

  // Closes our end and gives the lines that are still to come.
  std::vector<std::string> finish() {
    input_.reset();
    std::vector<std::string> lines;
    for (std::string text = line(); !text.empty(); text = line()) lines.push_back(text);
    thread_.join();
    return lines;
  }

  int exit_code() const { return exit_code_; }

 private:
  UniqueFd input_;
  UniqueFd output_;
  std::thread thread_;
  int exit_code_ = -1;
};

struct PushedFile {
  std::string path;
  std::string bytes;
  bool executable = false;
};

inline std::string manifest_text(const std::string& bundle, const std::vector<PushedFile>& files) {
  std::string text = "deployx-receive 2\nbundle " + bundle + "\n";
  for (const PushedFile& file : files) {
    text += "file " + sha256_of(file.bytes) + " " + std::to_string(file.bytes.size()) +
            (file.executable ? " x " : " - ") + file.path + "\n";
  }
  return text + "end\n";
}

struct PushResult {
  std::vector<std::string> needs;  // without the word `need`
  std::vector<std::string> lines;  // after `end`
  std::size_t sent = 0;
  int exit_code = -1;
};

// A whole push; the link is cut after `limit` bytes of content.
inline PushResult push(const WorkFolder& work, const std::string& bundle,
                       const std::vector<PushedFile>& files,
                       std::size_t limit = std::string::npos) {
  PushResult result;
  Push host(work);
  host.write(manifest_text(bundle, files));
  std::string line = host.line();
  if (line.rfind("error ", 0) == 0) result.lines.push_back(line);
  for (line = host.line(); line.rfind("need ", 0) == 0; line = host.line()) {
    result.needs.push_back(line.substr(5));
  }
  for (const std::string& need : result.needs) {
    const std::string sha256 = need.substr(0, 64);
    const std::size_t offset = std::stoul(need.substr(65));
    for (const PushedFile& file : files) {
      if (sha256_of(file.bytes) != sha256) continue;
      const std::string rest = file.bytes.substr(offset).substr(0, limit - result.sent);
      host.write(rest);
      result.sent += rest.size();
      break;
    }
  }
  const auto last = host.finish();
  result.lines.insert(result.lines.end(), last.begin(), last.end());
  result.exit_code = host.exit_code();
  return result;
}

}  // namespace dx::test
