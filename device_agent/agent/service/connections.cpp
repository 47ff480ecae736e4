#include "agent/service/connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "agent/files/files.h"
#include "common/memory.h"

namespace dx {
namespace {

constexpr int kBacklog = 64;
constexpr int kWaitMs = 20;
constexpr int kLookAgainMs = 500;
// Connections have numbers from here on, and nothing else has: so none of them can be another
// file by the time that it is ended.
constexpr int kFirstNumber = 512;

Failure cannot_listen(int error) {
  return {FailureCode::kInternal,
          "cannot listen on 127.0.0.1 (" + errno_text(error) + "); is the loopback interface up?",
          Phase::kUnspecified};
}

ino_t inode_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

int moved_up(int fd) {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstNumber);
  if (high < 0) return fd;  // Not allowed that many: its own number is good enough.
  ::close(fd);
  return high;
}

}  // namespace

Result<std::unique_ptr<Connections>> Connections::listen() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* place = reinterpret_cast<sockaddr*>(&address);
  int ends[2] = {-1, -1};
  if (!listener.valid() || ::bind(listener.get(), place, size) != 0 ||
      ::listen(listener.get(), kBacklog) != 0 || ::getsockname(listener.get(), place, &size) != 0 ||
      ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return cannot_listen(errno);
  }
  return std::unique_ptr<Connections>(new Connections(std::move(listener), ntohs(address.sin_port),
                                                      UniqueFd(ends[0]), UniqueFd(ends[1])));
}

Connections::Connections(UniqueFd listener, int port, UniqueFd read_end, UniqueFd write_end)
    : listener_(std::move(listener)),
      port_(port),
      read_end_(std::move(read_end)),
      write_end_(std::move(write_end)) {
  open_.reserve(kMost);
}

void Connections::start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  thread_ = std::thread([this] { run(); });
}

void Connections::stop() {
  if (!thread_.joinable()) return;
  write_end_.reset();
  thread_.join();
}

void Connections::trust(const std::string& peer) {
  const std::size_t colon = peer.rfind(':');
  if (colon == std::string::npos) return;
  const unsigned long port = std::strtoul(peer.c_str() + colon + 1, nullptr, 10);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Open& each : open_) each.trusted = each.trusted || each.port == port;
}

// Until stop() ends the pipe.
void Connections::run() {
  bool memory_is_due = false;
  while (true) {
    const Count count = count_open();
    const bool has_room = count.all < kMost;
    if (!has_room) end_a_stranger();
    memory_is_due = memory_is_due || count.closed > 0;
    // gRPC does not tell when it has closed one. While there are none but the host's, and while
    // its model runs, nothing wakes this thread.
    const bool looks_again = count.strangers > 0 || memory_is_due;
    const int timeout = !has_room ? kWaitMs : looks_again ? kLookAgainMs : -1;
    pollfd entries[2] = {{read_end_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    const int ready = ::poll(entries, has_room ? 2 : 1, timeout);
    if (entries[0].revents != 0 || (ready < 0 && errno != EINTR)) return;
    if (ready > 0) accept_one();
    if (ready == 0 && has_room && std::exchange(memory_is_due, false)) give_memory_back();
  }
}

Connections::Count Connections::count_open() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Count count;
  const std::size_t before = open_.size();
  const auto is_closed = [](const Open& each) { return inode_of(each.fd) != each.inode; };
  open_.erase(std::remove_if(open_.begin(), open_.end(), is_closed), open_.end());
  count.all = open_.size();
  count.closed = before - count.all;
  for (const Open& each : open_) count.strangers += each.trusted ? 0 : 1;
  return count;
}

void Connections::end_a_stranger() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto oldest = std::find_if(open_.begin(), open_.end(),
                                   [](const Open& each) { return !each.trusted && !each.ending; });
  if (oldest != open_.end() && Clock::now() - oldest->since >= kGrace) {
    oldest->ending = true;
    ::shutdown(oldest->fd, SHUT_RDWR);  // gRPC reads the end, and closes it.
  }
}

void Connections::accept_one() {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  const int accepted = ::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (accepted < 0) {
    // Without descriptors the listener stays readable: not in a circle without a pause.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::poll(nullptr, 0, kWaitMs);
    return;
  }
  const int fd = moved_up(accepted);
  const int yes = 1;
  // Where it is refused, small answers are slower.
  static_cast<void>(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_.push_back({fd, inode_of(fd), ntohs(address.sin_port), Clock::now(), false, false});
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = listener_.get();
  parameters.fd = fd;
  acceptor_->HandleNewConnection(&parameters);
}

}  // namespace dx
