#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "agent/command_line.h"
#include "agent/session/lifetime.h"
#include "agent/session/session_folder.h"
#include "agent/worker/log_tail.h"
#include "tests/agent/temporary_folder.h"

namespace {

using dx::SessionFolder;
using dx::WorkFolder;
using dx::test::TemporaryFolder;

// Makes a session folder in a process that then dies without tidying up.
void leave_dead_session(const WorkFolder& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto folder = SessionFolder::create(work);
    _exit(folder ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
}

dx::Result<dx::CommandLine> parse(const std::vector<std::string>& words) {
  return dx::parse_command_line(words);
}

}  // namespace

TEST_CASE("a session's folder goes with it") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  {
    const auto session = SessionFolder::create(work);
    REQUIRE(session);
    folder.write(session.value().path().substr(folder.path().size() + 1) + "/a/b/log", "x");
    CHECK(dx::list_folder(work.sessions()).size() == 1);
  }
  CHECK(dx::list_folder(work.sessions()).empty());
}

TEST_CASE("what dead sessions left is removed, what living ones have is not") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const auto living = SessionFolder::create(work);
  REQUIRE(living);
  leave_dead_session(work);
  leave_dead_session(work);
  folder.write("sessions/half-made/log", "x");
  CHECK(dx::list_folder(work.sessions()).size() == 3);  // the second removed the first
  const auto next = SessionFolder::create(work);
  REQUIRE(next);
  CHECK(dx::list_folder(work.sessions()).size() == 2);
  CHECK(dx::read_file(living.value().path() + "/lock", 1));
}

TEST_CASE("fifty sessions that start at once get fifty folders") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  std::vector<pid_t> children;
  int gate[2];
  REQUIRE(::pipe(gate) == 0);
  for (int i = 0; i < 50; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(gate[1]);
      const auto session = SessionFolder::create(work);
      char byte = 0;
      const bool waited = session && ::read(gate[0], &byte, 1) == 0;  // until all are there
      _exit(waited && dx::read_file(session.value().path() + "/lock", 1) ? 0 : 1);
    }
    children.push_back(pid);
  }
  while (dx::list_folder(work.sessions()).size() < 50) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::close(gate[0]);
  ::close(gate[1]);
  for (const pid_t pid : children) {
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
}

TEST_CASE("a work folder that cannot be had is a failure with a remedy") {
  const TemporaryFolder folder;
  const auto session = SessionFolder::create(WorkFolder{folder.write("file", "x")});
  REQUIRE_FALSE(session);
  CHECK(session.failure().message.find("choose a work folder") != std::string::npos);
}

TEST_CASE("removing a tree follows no link out of it") {
  const TemporaryFolder folder;
  folder.write("outside/precious", "x");
  folder.write("tree/a/b/c", "x");
  REQUIRE(::symlink((folder.path() + "/outside").c_str(), (folder.path() + "/tree/a/l").c_str()) ==
          0);
  CHECK(dx::remove_tree(folder.path() + "/tree") == 0);
  CHECK(dx::remove_tree(folder.path() + "/tree") == 0);
  CHECK(folder.read("outside/precious") == "x");
}

TEST_CASE("a session ends with its input, on demand, by a signal, without a heartbeat") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto create = [](int seconds) {
    auto lifetime = dx::Lifetime::create(std::chrono::seconds(seconds));
    REQUIRE(lifetime);
    return std::move(lifetime).value();
  };
  SUBCASE("input") {
    const auto lifetime = create(600);
    REQUIRE(::write(ends[1], "noise\n", 6) == 6);
    std::thread host([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ::close(std::exchange(ends[1], -1));
    });
    CHECK(lifetime->wait(ends[0]) == "the host closed the session");
    host.join();
    CHECK(lifetime->stopping());
  }
  SUBCASE("demand") {
    const auto lifetime = create(600);
    lifetime->stop();
    CHECK(lifetime->stopping());
    CHECK(lifetime->wait(ends[0]) == "the host asked for it");
  }
  SUBCASE("signal") {
    const auto lifetime = create(600);
    REQUIRE(::raise(SIGTERM) == 0);
    CHECK(lifetime->wait(ends[0]) == "a signal asked for it");
  }
  SUBCASE("heartbeat") {
    const auto lifetime = create(1);
    CHECK(lifetime->wait(ends[0]) == "no heartbeat for 1 s");
  }
  ::close(ends[0]);
  if (ends[1] >= 0) ::close(ends[1]);
}

TEST_CASE("the command line is taken as documented") {
  const auto line = parse({"serve", "--work", "/w", "--heartbeat-seconds", "5", "--emulated",
                           "--launcher", "qemu-aarch64-static", "--launcher", "-cpu"});
  REQUIRE(line);
  CHECK(line.value().work == "/w");
  CHECK(line.value().heartbeat_seconds == 5);
  CHECK(line.value().emulated);
  CHECK(line.value().launcher == std::vector<std::string>{"qemu-aarch64-static", "-cpu"});
  CHECK(line.value().lease.empty());
  CHECK(line.value().lease_folder == "/w/lease");
  const auto leased = parse({"serve", "--lease", "a b", "--lease-folder", "/l", "--no-wait"});
  REQUIRE(leased);
  CHECK(leased.value().lease == "a b");
  CHECK(leased.value().lease_folder == "/l");
  CHECK(leased.value().wait_seconds == 0);
  CHECK(line.value().wait_seconds == 86400);
  const auto patient = parse({"serve", "--lease", "a", "--wait-seconds", "90"});
  REQUIRE(patient);
  CHECK(patient.value().wait_seconds == 90);
  const auto kept = parse({"receive", "--work", "/w", "--keep-bytes", "5000000000"});
  REQUIRE(kept);
  CHECK(kept.value().keep_bytes == 5000000000);
  const auto ended = parse({"lease", "--work", "/w", "--end", "0123456789abcdef"});
  REQUIRE(ended);
  CHECK(ended.value().end == "0123456789abcdef");
  CHECK(parse({"--version"}));
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"fly"},
                                             {"serve", "--work"},
                                             {"serve", "--work", ""},
                                             {"serve", "--heartbeat-seconds", "0"},
                                             {"serve", "--heartbeat-seconds", "1x"},
                                             {"serve", "--heartbeat-seconds", "-1"},
                                             {"receive", "--work", "/w", "--emulated"},
                                             {"receive", "--launcher", "x"},
                                             {"receive", "--keep-bytes", "0"},
                                             {"receive", "--keep-bytes", "1g"},
                                             {"receive", "--lease", "x"},
                                             {"serve", "--lease", ""},
                                             {"serve", "--end", "x"},
                                             {"serve", "--wait-seconds", "0"},
                                             {"lease", "--end"},
                                             {"lease", "--no-wait"},
                                             {"serve", "extra"}}) {
    CHECK_FALSE(parse(words));
  }
}

TEST_CASE("any bytes become text that protobuf takes") {
  CHECK(dx::clean_utf8("plain\n\ttext", 100) == "plain\n\ttext");
  CHECK(dx::clean_utf8("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 100) ==
        "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(dx::clean_utf8("\x1b[31m\x7f\x01", 100) == "?[31m??");
  CHECK(dx::clean_utf8("\xff\xc0\x80\xe0\x80\x80\xed\xa0\x80\xf5", 100) == "??????????");
  CHECK(dx::clean_utf8("\xe2\x82", 100) == "??");
  CHECK(dx::clean_utf8("aaa\xe2\x82\xac", 5) == "aaa");
  CHECK(dx::clean_utf8(std::string("a\0b", 3), 5) == "a?b");
}

TEST_CASE("a log's tail is whole lines of at most 2400 bytes") {
  const TemporaryFolder folder;
  CHECK(dx::log_tail(folder.path() + "/none").empty());
  std::string log;
  for (int i = 0; i < 1000; ++i) log += "line " + std::to_string(i) + "\n";
  const std::string tail = dx::log_tail(folder.write("log", log));
  CHECK(tail.size() <= 2400);
  CHECK(tail.size() > 2300);
  CHECK(tail.rfind("line ", 0) == 0);
  CHECK(tail.substr(tail.size() - 9) == "line 999\n");
}
