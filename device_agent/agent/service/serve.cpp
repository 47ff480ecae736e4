#include "agent/service/serve.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "agent/files/files.h"
#include "agent/service/agent_service.h"
#include "agent/session/lease.h"
#include "agent/session/session_folder.h"
#include "agent/worker/worker_process.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitFailed = 1;
constexpr int kExitBusy = 3;
constexpr std::size_t kMaxTokenLine = 512;
constexpr std::size_t kMinTokenDigits = 32;
// A tensor of 1 GiB and what is around it.
constexpr int kMaxMessageBytes = (1 << 30) + (1 << 20);
constexpr int kReadBytes = 64 << 10;
constexpr int kHandshakeMs = 10000;
// A host makes two at once on a connection: its work, and the heartbeat.
constexpr int kMostCalls = 4;
// One for each call that may be open, so that strangers leave one for the host's.
constexpr int kMaxThreads = static_cast<int>(Connections::kMost) * kMostCalls + 32;
constexpr std::chrono::milliseconds kGoodbyeTime{300};
constexpr unsigned kLongestEndSeconds = 10;
constexpr int kLookAgainMs = 100;
constexpr unsigned kLongestLookSeconds = 50;
// The host is told that we still wait, so that a silent link is noticed.
constexpr std::chrono::seconds kTellAgain{5};

int give_up(const std::string& reason) {
  std::fprintf(stderr, "dx-agent: %s\n", reason.c_str());
  return kExitFailed;
}

// The line `token HEX`, byte by byte: what follows it is not ours to take.
Result<std::string> read_token(int input, std::chrono::seconds patience) {
  const Failure refused{FailureCode::kInvalidRequest,
                        "expected the line 'token HEX' of at least 32 hexadecimal digits on "
                        "standard input; deployx-edge starts this program itself",
                        Phase::kUnspecified};
  const Clock::time_point deadline = Clock::now() + patience;
  std::string line;
  while (line.size() < kMaxTokenLine) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry{input, POLLIN, 0};
    if (left.count() <= 0) return refused;
    const int ready =
        ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char byte = 0;
    const ssize_t got = ::read(input, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return refused;
    if (byte == '\n') break;
    line += byte;
  }
  const std::string prefix = "token ";
  if (line.compare(0, prefix.size(), prefix) != 0) return refused;
  std::string token = line.substr(prefix.size());
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  const bool good = token.size() >= kMinTokenDigits && line.size() < kMaxTokenLine &&
                    std::all_of(token.begin(), token.end(), is_digit);
  if (!good) return refused;
  return token;
}

bool tell(const char* word, const LeaseEntry& holder) {
  std::printf("%s %s\n", word, lease_line(holder).c_str());
  return std::fflush(stdout) == 0;
}

// True when the host has gone. It writes nothing after the token.
bool host_gone(int input, int patience_ms) {
  pollfd entry{input, POLLIN, 0};
  if (::poll(&entry, 1, patience_ms) <= 0) return false;
  char bytes[512];
  const ssize_t got = ::read(input, bytes, sizeof bytes);
  return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

// Waits until the board is ours. 0, or the exit code where it will not be.
int await_turn(Lease& lease, std::chrono::seconds patience) {
  const Clock::time_point deadline = Clock::now() + patience;
  std::string told;
  Clock::time_point again = Clock::now();
  for (;;) {
    // Whatever holds us up, also a file system of somebody else, the process ends.
    ::alarm(kLongestLookSeconds);
    const auto first = lease.take();
    ::alarm(0);
    if (!first) return give_up(first.failure().message);
    const std::optional<LeaseEntry>& holder = first.value();
    if (!holder) return 0;
    if (Clock::now() >= deadline) {
      static_cast<void>(tell("busy", *holder));
      return kExitBusy;
    }
    if (holder->id != told || Clock::now() >= again) {
      if (!tell("waiting", *holder)) return kExitFailed;
      told = holder->id;
      again = Clock::now() + kTellAgain;
    }
    if (host_gone(STDIN_FILENO, kLookAgainMs)) return kExitFailed;
  }
}

std::unique_ptr<grpc::Server> start_server(AgentService& service, Connections& connections) {
  using External = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  grpc::ServerBuilder builder;
  auto acceptor = builder.experimental().AddExternalConnectionAcceptor(
      External::FROM_FD, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // Few threads while idle; a call that blocks takes one more.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  grpc::ResourceQuota quota("dx-agent");
  quota.SetMaxThreads(kMaxThreads);
  builder.SetResourceQuota(quota);
  // Who says nothing, or opens calls without end, takes little.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostCalls);
  builder.AddChannelArgument(GRPC_ARG_TCP_MIN_READ_CHUNK_SIZE, kReadBytes);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytes);
  // Hosts may ask often whether the link lives.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  auto server = builder.BuildAndStart();
  if (server) connections.start(std::move(acceptor));
  return server;
}

// Serves until the session's end; gives its reason.
Result<std::string> serve_session(const CommandLine& line, const std::string& token,
                                  Lifetime& lifetime, const SessionFolder& folder) {
  const WorkFolder work{line.work};
  const BoardReader board(SysFiles(), ask_system(), line.work, line.emulated);
  Models models(work, folder.path(), line.launcher);
  auto listening = Connections::listen();
  if (!listening) return listening.failure();
  Connections& connections = *listening.value();
  SessionState state{token, board, models, lifetime, connections};
  AgentService service(state);
  const std::unique_ptr<grpc::Server> server = start_server(service, connections);
  if (!server) return Failure{FailureCode::kInternal, "cannot start gRPC", Phase::kUnspecified};
  std::printf("ready %d %ld\n", connections.port(), static_cast<long>(::getpid()));
  std::string reason = "the host does not read";
  if (std::fflush(stdout) == 0) reason = lifetime.wait(STDIN_FILENO);

  // Whatever hangs from here on, the process ends.
  ::alarm(kLongestEndSeconds);
  models.kill_all();
  connections.stop();
  server->Shutdown(std::chrono::system_clock::now() + kGoodbyeTime);
  server->Wait();
  return reason;
}

}  // namespace

int serve(const CommandLine& line) {
  keep_inherited_descriptors();
  const std::chrono::seconds patience(line.heartbeat_seconds);
  const auto token = read_token(STDIN_FILENO, patience);
  if (!token) return give_up(token.failure().message);
  std::optional<Lease> lease;
  if (!line.lease.empty()) {
    ::alarm(kLongestLookSeconds);
    auto queued = Lease::queue(line.lease_folder, WorkFolder{line.work}.lease(), line.lease);
    if (!queued) return give_up(queued.failure().message);
    lease.emplace(std::move(queued).value());
    if (!lease->why_not_shared().empty()) {
      std::printf("alone %s\n", lease->why_not_shared().c_str());
    }
    const std::chrono::seconds longest(line.wait_seconds);
    if (const int code = await_turn(*lease, longest); code != 0) return code;
  }
  auto lifetime = Lifetime::create(patience);
  if (!lifetime) return give_up(lifetime.failure().message);
  const auto folder = SessionFolder::create(WorkFolder{line.work});
  if (!folder) return give_up(folder.failure().message);
  const auto reason = serve_session(line, token.value(), *lifetime.value(), folder.value());
  if (!reason) return give_up(reason.failure().message);
  std::fprintf(stderr, "dx-agent: the session ended: %s\n", reason.value().c_str());
  return 0;
}

}  // namespace dx
