#include "tests/worker/worker_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

extern char** environ;

namespace dx::test {
namespace {

constexpr int kControlSocket = 3;

// Starts the worker with `from` of this process as its descriptor `to`.
pid_t spawn(const std::vector<std::string>& arguments, int from, int to) {
  std::vector<std::string> words = {DX_WORKER_PATH};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
  REQUIRE(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0);
  REQUIRE(posix_spawn_file_actions_adddup2(&actions, from, to) == 0);
  pid_t pid = -1;
  REQUIRE(posix_spawn(&pid, DX_WORKER_PATH, &actions, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

WorkerProcess::WorkerProcess() {
  const std::string number = std::to_string(kControlSocket);
  // The duplicate is not closed on exec; where the numbers are equal posix_spawn sees to that.
  pid_ = spawn({"--control-fd", number}, sockets_.right(), kControlSocket);
  sockets_.close_right();
}

WorkerProcess::~WorkerProcess() {
  if (pid_ < 0) return;
  kill_now();
  waitpid(pid_, nullptr, 0);
}

Frame WorkerProcess::next() {
  Result<std::optional<Frame>> frame = read_frame(socket());
  REQUIRE(frame);
  REQUIRE_MESSAGE(frame.value().has_value(), "the worker ended");
  return std::move(*frame.value());
}

int WorkerProcess::wait() { return wait_for(std::exchange(pid_, -1)); }

void WorkerProcess::kill_now() { kill(pid_, SIGKILL); }

Output run_worker(const std::vector<std::string>& arguments) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t pid = spawn(arguments, ends[1], 1);
  close(ends[1]);
  Output output;
  char block[4096];
  for (ssize_t got = 0; (got = read(ends[0], block, sizeof block)) > 0;) {
    output.text.append(block, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  output.exit_code = wait_for(pid);
  return output;
}

}  // namespace dx::test
