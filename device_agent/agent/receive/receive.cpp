#include "agent/receive/receive.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "agent/files/files.h"
#include "agent/receive/byte_reader.h"
#include "agent/receive/manifest.h"
#include "agent/receive/outbox.h"
#include "agent/receive/part_file.h"
#include "agent/receive/room.h"
#include "agent/store/check.h"
#include "agent/store/trust.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

// Parts that are resumed stay open and locked from the answer on; more of them are started anew.
constexpr std::size_t kMaxResumedParts = 64;
constexpr int kPipeBytes = 1 << 20;
// How often the host hears what has arrived; it waits for that after 2 MiB without a word.
constexpr std::uint64_t kTellBytes = std::uint64_t{1} << 19;
constexpr std::chrono::seconds kTellTime{1};

// A content that the host is to send.
struct Need {
  const Content* content = nullptr;
  std::optional<PartFile> part;  // where an earlier push is resumed

  std::uint64_t offset() const { return part ? part->size() : 0; }
};

class Receiver {
 public:
  Receiver(const WorkFolder& work, const Keeping& keeping, int input, int output)
      : work_(work), keeping_(keeping), verified_(work), reader_(input), outbox_(output) {
#ifdef F_SETPIPE_SZ
    // Fewer turns between sender and receiver; what is no pipe refuses, without harm.
    static_cast<void>(::fcntl(input, F_SETPIPE_SZ, kPipeBytes));
#endif
  }

  int run() {
    const ReceiveOutcome error = talk();
    verified_.save();
    if (error) {
      outbox_.put(std::string("error ") + receive_code_word(error->code) + " " + error->text);
    } else {
      outbox_.put("done " + parser_.manifest().bundle);
    }
    return outbox_.flush() && !error ? 0 : 1;
  }

 private:
  ReceiveOutcome talk() {
    if (auto error = read_manifest()) return error;
    if (auto error = prepare_folders()) return error;
    if (auto error = plan()) return error;
    if (auto error = answer()) return error;
    for (Need& need : needs_) {
      if (auto error = take(need)) return error;
    }
    return publish();
  }

  ReceiveOutcome read_manifest() {
    std::string line;
    while (!parser_.complete()) {
      switch (reader_.read_line(kMaxLineBytes, line)) {
        case ByteReader::LineEnd::kLine:
          break;
        case ByteReader::LineEnd::kTooLong:
          return ReceiveError{ReceiveCode::kProtocol, "a line is longer than 1280 bytes"};
        default:
          return stream_ended("before the line 'end'");
      }
      if (auto error = parser_.take(line)) return error;
    }
    return std::nullopt;
  }

  ReceiveError stream_ended(const std::string& where) const {
    if (reader_.error() != 0) return receive_error_of(reader_.error(), "cannot read the input");
    return {ReceiveCode::kProtocol, "the input ended " + where + "; push again"};
  }

  ReceiveOutcome prepare_folders() {
    for (const auto& folder : {work_.path, work_.store(), work_.incoming(), work_.bundles()}) {
      if (const int error = make_folders(folder); error != 0) {
        return receive_error_of(error, "cannot make the folder " + folder);
      }
      const auto reason = folder == work_.path ? why_untrusted(work_) : why_untrusted(folder);
      if (reason) return ReceiveError{ReceiveCode::kUntrusted, *reason};
    }
    remove_dead_parts(work_);
    remove_dead_lists();
    return std::nullopt;
  }

  // Half-written lists of pushes that died: NAME~PID of a process that is no more.
  void remove_dead_lists() const {
    for (const std::string& name : list_folder(work_.bundles())) {
      const std::size_t mark = name.rfind('~');
      if (mark == std::string::npos) continue;
      const long pid = std::strtol(name.c_str() + mark + 1, nullptr, 10);
      if (pid <= 0 || (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)) {
        std::remove((work_.bundles() + "/" + name).c_str());
      }
    }
  }

  // Finds what is missing and from which byte, and whether it fits.
  ReceiveOutcome plan() {
    std::uint64_t missing = 0;
    std::size_t resumed = 0;
    for (const Content& content : parser_.manifest().contents) {
      bool present = false;
      if (auto error = find_present(content, present)) return error;
      if (present) continue;
      Need need{&content, std::nullopt};
      if (resumed < kMaxResumedParts) need.part = PartFile::resume(work_, content);
      if (need.part) ++resumed;
      missing += content.size - need.offset();
      needs_.push_back(std::move(need));
    }
    if (keeping_.bytes > 0) {
      make_room(work_, parser_.manifest(), missing, keeping_.bytes, keeping_.program);
    }
    free_ = free_bytes(work_.path).value_or(0);
    if (missing <= free_) return std::nullopt;
    return ReceiveError{ReceiveCode::kNoSpace, "the push needs " + std::to_string(missing) +
                                                   " bytes, " + work_.path + " has " +
                                                   std::to_string(free_) +
                                                   " free; free some space on the board"};
  }

  // A content is in the store when a file of its name is whose hash is that name. What else lies
  // there goes, and the host sends it once more.
  ReceiveOutcome find_present(const Content& content, bool& present) {
    const std::string path = work_.content(content.sha256);
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
    ContentFinding found{ContentState::kDamaged, ""};
    if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) == content.size) {
      const auto how = keeping_.verify ? Thoroughness::kFull : Thoroughness::kQuick;
      const auto tell = [this](std::uint64_t bytes) { return tell_checking(bytes); };
      found = check_content(work_, content.sha256, verified_, how, tell);
    }
    if (found.state == ContentState::kUntrusted) {
      return ReceiveError{ReceiveCode::kUntrusted, found.text};
    }
    if (found.state == ContentState::kStopped) {
      return ReceiveError{ReceiveCode::kIo, "the host does not read the answer"};
    }
    if (found.state == ContentState::kDamaged) {
      remove_content(work_, content.sha256, verified_);
      damaged_.push_back(content.sha256);
    }
    present = found.state == ContentState::kGood;
    if (!present || !content.executable || (status.st_mode & S_IXUSR) != 0) return std::nullopt;
    if (::chmod(path.c_str(), 0755) == 0) return std::nullopt;
    return receive_error_of(errno, "cannot make executable " + path);
  }

  ReceiveOutcome answer() {
    outbox_.put("deployx-receive 2 " + std::to_string(free_));
    for (const Need& need : needs_) {
      outbox_.put("need " + need.content->sha256 + " " + std::to_string(need.offset()));
    }
    for (const std::string& sha256 : damaged_) outbox_.put("damaged " + sha256);
    outbox_.put("end");
    if (outbox_.flush()) return std::nullopt;
    return ReceiveError{ReceiveCode::kIo, "the host does not read the answer"};
  }

  ReceiveOutcome take(Need& need) {
    const Content& content = *need.content;
    if (!need.part) {
      if (auto error = PartFile::create(work_, content, need.part)) return error;
    } else if (auto error = need.part->hash_present_bytes()) {
      return error;
    }
    while (need.part->size() < content.size) {
      const std::uint64_t left = content.size - need.part->size();
      const std::string_view bytes =
          reader_.read_some(static_cast<std::size_t>(std::min<std::uint64_t>(left, 1U << 30)));
      if (bytes.empty()) {
        return stream_ended(std::to_string(left) + " bytes before the end of " + content.sha256);
      }
      if (auto error = need.part->append(bytes)) return error;
      tell_arrived(bytes.size());
    }
    // A large file takes its time, and the host counts it.
    const auto tell = [this](std::uint64_t) {
      if (Clock::now() - told_at_ >= kTellTime) tell_have();
      return true;
    };
    if (auto error = need.part->commit(content, verified_, tell)) return error;
    need.part.reset();
    outbox_.put("ok " + content.sha256);
    return std::nullopt;
  }

  // So many bytes more are in their file, where a push that breaks is resumed.
  void tell_arrived(std::size_t bytes) {
    arrived_ += bytes;
    if (arrived_ - told_ >= kTellBytes || Clock::now() - told_at_ >= kTellTime) tell_have();
  }

  void tell_have() {
    told_ = arrived_;
    told_at_ = Clock::now();
    outbox_.put("have " + std::to_string(arrived_));
  }

  // So many bytes more were hashed of what is there; false where nobody listens any more.
  bool tell_checking(std::uint64_t bytes) {
    checked_ += bytes;
    if (Clock::now() - told_at_ < kTellTime) return true;
    told_at_ = Clock::now();
    outbox_.put("checking " + std::to_string(checked_));
    return !outbox_.broken();
  }

  // The bundle gets its new list only after all it names is safe.
  ReceiveOutcome publish() {
    remove_dead_parts(work_);
    const Manifest& manifest = parser_.manifest();
    if (keeping_.bytes > 0) mark_used(work_, manifest, verified_);
    const std::string list = manifest.list();
    const std::string path = work_.bundles() + "/" + manifest.bundle;
    if (read_file(path, list.size() + 1) == list) return std::nullopt;
    if (const int error = sync_folder(work_.store()); error != 0) {
      return receive_error_of(error, "cannot keep " + work_.store());
    }
    // No bundle's name holds a ~.
    const std::string temporary = path + "~" + std::to_string(::getpid());
    const int error = write_list(temporary, list, path);
    if (error == 0) return std::nullopt;
    std::remove(temporary.c_str());
    return receive_error_of(error, "cannot write " + path);
  }

  int write_list(const std::string& temporary, const std::string& list,
                 const std::string& path) const {
    const UniqueFd file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file.valid()) return errno;
    if (const int error = write_fully(file.get(), list); error != 0) return error;
    if (::fsync(file.get()) != 0) return errno;
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return errno;
    return sync_folder(work_.bundles());
  }

  const WorkFolder& work_;
  const Keeping& keeping_;
  Verified verified_;
  ByteReader reader_;
  Outbox outbox_;
  ManifestParser parser_;
  std::vector<Need> needs_;
  std::vector<std::string> damaged_;
  std::uint64_t free_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t told_ = 0;
  std::uint64_t checked_ = 0;
  Clock::time_point told_at_ = Clock::now();
};

}  // namespace

int receive(const WorkFolder& work, const Keeping& keeping, int input, int output) {
  return Receiver(work, keeping, input, output).run();
}

}  // namespace dx
