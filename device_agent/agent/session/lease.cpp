#include "agent/session/lease.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "agent/files/files.h"

namespace dx {
namespace {

using Lock = LeaseFolder::Lock;

constexpr int kAttempts = 3;
constexpr std::size_t kIdBytes = 8;
constexpr mode_t kOwnMode = 0700;

Failure cannot(const std::string& what) {
  return {FailureCode::kInternal, "cannot take a turn on this board: " + what, Phase::kUnspecified};
}

// Nobody can guess it, or lay a file of this name before we do. By the system's call, as a board in
// a chroot may have no /dev; empty where the kernel (before 3.17) has none either.
std::string random_id() {
  std::array<unsigned char, kIdBytes> bytes{};
  // Flag 0: from the source of /dev/urandom, once that is ready.
  if (::syscall(SYS_getrandom, bytes.data(), bytes.size(), 0U) != static_cast<long>(bytes.size())) {
    const auto read = read_file("/dev/urandom", kIdBytes);
    if (!read || read->size() != kIdBytes) return "";
    std::copy(read->begin(), read->end(), bytes.begin());
  }
  std::string id;
  for (const unsigned char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    id += kDigits[byte >> 4];
    id += kDigits[byte & 15];
  }
  return id;
}

// The file of a new run in that folder; `entry` gets its id.
Result<UniqueFd> join(const LeaseFolder& folder, LeaseEntry& entry) {
  folder.remove_dead();
  Failure last = cannot("the system gives no random numbers");
  for (int i = 0; i < kAttempts; ++i) {
    entry.id = random_id();
    if (entry.id.empty()) break;
    auto file = folder.add(entry);
    if (file) return file;
    last = file.failure();
  }
  return last;
}

// The work folder's own, made where it is missing. Earlier agents let everybody write to it.
Result<LeaseFolder> make_own(const std::string& path) {
  if (const int error = make_folders(path); error != 0) {
    return cannot(path + " cannot be made: " + errno_text(error));
  }
  {
    const UniqueFd folder(
        ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (folder.valid() && ::fstat(folder.get(), &status) == 0 && status.st_uid == ::geteuid()) {
      static_cast<void>(::fchmod(folder.get(), kOwnMode));
    }
  }
  auto folder = LeaseFolder::open(path);
  if (!folder) return cannot(folder.failure().message);
  return folder;
}

}  // namespace

LeasePlaces::LeasePlaces(const std::string& shared_path, const std::string& own_path) {
  if (auto folder = LeaseFolder::open(own_path)) own.emplace(std::move(folder).value());
  if (shared_path == own_path) return;
  auto folder = LeaseFolder::open(shared_path);
  if (folder) {
    shared.emplace(std::move(folder).value());
  } else {
    why_not_shared = folder.failure().message;
  }
}

std::vector<LeaseEntry> LeasePlaces::living(const std::string& except) const {
  std::vector<LeaseEntry> entries;
  for (const std::optional<LeaseFolder>* folder : {&shared, &own}) {
    if (!folder->has_value()) continue;
    auto more = (*folder)->living(except);
    std::move(more.begin(), more.end(), std::back_inserter(entries));
  }
  std::sort(entries.begin(), entries.end(),
            [](const LeaseEntry& a, const LeaseEntry& b) { return a.is_before(b); });
  return entries;
}

std::optional<LeaseEntry> LeasePlaces::find(const std::string& id) const {
  const auto entries = living();
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const LeaseEntry& entry) { return entry.id == id; });
  return found == entries.end() ? std::nullopt : std::optional<LeaseEntry>(*found);
}

Lease::Lease(LeasePlaces places, bool in_shared, LeaseEntry entry, UniqueFd file)
    : places_(std::move(places)),
      in_shared_(in_shared),
      entry_(std::move(entry)),
      file_(std::move(file)) {}

Lease::~Lease() {
  // Moved-from objects have no lock.
  if (!file_.valid()) return;
  (in_shared_ ? places_.shared : places_.own)->remove(entry_.id);
}

Result<Lease> Lease::queue(const std::string& shared, const std::string& own,
                           const std::string& text) {
  LeasePlaces places(shared, own);
  LeaseEntry entry;
  entry.asked_ns = uptime_ns();
  entry.text = text;
  if (places.shared) {
    auto file = join(*places.shared, entry);
    if (file) return Lease(std::move(places), true, std::move(entry), std::move(file).value());
    // Who is there is still waited for.
    places.why_not_shared = "in " + shared + " " + file.failure().message;
  }
  auto folder = make_own(own);
  if (!folder) return folder.failure();
  places.own.emplace(std::move(folder).value());
  auto file = join(*places.own, entry);
  if (!file) return cannot("in " + own + " " + file.failure().message);
  return Lease(std::move(places), false, std::move(entry), std::move(file).value());
}

Result<std::optional<LeaseEntry>> Lease::take() {
  auto others = places_.living(entry_.id);
  if (!others.empty() && others.front().is_before(entry_)) return std::optional(others.front());
  if (const int error = take_lock(file_.get(), Lock::kHasBoard); error != 0) {
    return cannot("its file cannot be locked: " + errno_text(error));
  }
  // Two who take it at once each see the other here, and both let go; the next look at their order
  // decides. Who was not seen here sees us.
  others = places_.living(entry_.id);
  if (others.empty() || !others.front().has_board) {
    entry_.has_board = true;
    return std::optional<LeaseEntry>();
  }
  drop_lock(file_.get(), Lock::kHasBoard);
  return std::optional(others.front());
}

std::string lease_line(const LeaseEntry& entry) {
  const std::string user = entry.user == ::geteuid() ? "-" : user_name(entry.user);
  return entry.id + " " + std::to_string(entry.pid) + " " + std::to_string(entry.seconds()) + " " +
         user + " " + entry.text;
}

}  // namespace dx
