#include "agent/session/lease.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "tests/agent/temporary_folder.h"

namespace {

using dx::Lease;
using dx::lease_entries;
using dx::test::TemporaryFolder;

// A process that took a number and then waits to be killed.
class Sleeper {
 public:
  Sleeper(const std::string& folder, const std::string& text) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto lease = Lease::queue(folder, folder, text);
      const char byte = lease ? 'y' : 'n';
      if (::write(ends[1], &byte, 1) != 1) _exit(1);
      for (;;) ::pause();
    }
    char byte = 'n';
    REQUIRE(::read(ends[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    ::close(ends[0]);
    ::close(ends[1]);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() { kill(); }

  pid_t pid() const { return pid_; }

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

std::vector<std::string> texts(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : lease_entries(folder)) found.push_back(entry.text);
  return found;
}

}  // namespace

TEST_CASE("the first has the board, and gives it back with its end") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  {
    const auto first = Lease::queue(place, folder.path() + "/own", "ann@desk: bench a");
    REQUIRE(first);
    CHECK_FALSE(first.value().holder());
    const auto second = Lease::queue(place, folder.path() + "/own", "bob@lab: bench b");
    REQUIRE(second);
    const auto holder = second.value().holder();
    REQUIRE(holder);
    CHECK(holder->text == "ann@desk: bench a");
    CHECK(holder->pid == ::getpid());
    CHECK(holder->seconds < 60);
    CHECK(texts(place) == std::vector<std::string>{"ann@desk: bench a", "bob@lab: bench b"});
  }
  CHECK(texts(place).empty());
  CHECK(dx::list_folder(place) == std::vector<std::string>{"mutex"});
}

TEST_CASE("those who wait are served in their order, over the dead among them") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  Sleeper first(place, "first");
  Sleeper second(place, "second");
  Sleeper third(place, "third");
  const auto last = Lease::queue(place, place, "last");
  REQUIRE(last);
  CHECK(last.value().holder()->text == "first");
  CHECK(last.value().holder()->pid == first.pid());
  second.kill();
  CHECK(last.value().holder()->text == "first");
  first.kill();
  CHECK(last.value().holder()->text == "third");
  third.kill();
  CHECK_FALSE(last.value().holder());
  CHECK(texts(place) == std::vector<std::string>{"last"});
}

TEST_CASE("fifty who come at once get fifty numbers and one board") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  std::array<int, 2> gate{};
  std::array<int, 2> told{};
  REQUIRE(::pipe(gate.data()) == 0);
  REQUIRE(::pipe(told.data()) == 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 50; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(gate[1]);
      const auto lease = Lease::queue(place, place, "one of fifty");
      const char byte = !lease ? '!' : lease.value().holder() ? 'w' : 'h';
      if (::write(told[1], &byte, 1) != 1) _exit(1);
      char wait = 0;
      _exit(::read(gate[0], &wait, 1) == 0 ? 0 : 1);  // until all are there
    }
    children.push_back(pid);
  }
  ::close(gate[0]);
  int holders = 0;
  for (int i = 0; i < 50; ++i) {
    char byte = 0;
    REQUIRE(::read(told[0], &byte, 1) == 1);
    CHECK(byte != '!');
    if (byte == 'h') ++holders;
  }
  CHECK(holders == 1);
  CHECK(lease_entries(place).size() == 50);
  for (const int end : {gate[1], told[0], told[1]}) ::close(end);
  for (const pid_t pid : children) CHECK(::waitpid(pid, nullptr, 0) == pid);
  CHECK(lease_entries(place).empty());
}

TEST_CASE("the folder is for every user, and another serves where it cannot be") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  const auto lease = Lease::queue(place, folder.path() + "/own", "x");
  REQUIRE(lease);
  struct stat status{};
  REQUIRE(::stat(place.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0777);
  REQUIRE(::stat((place + "/1").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
  const auto other = Lease::queue(folder.path() + "/none/lease", folder.path() + "/own/lease", "y");
  REQUIRE(other);
  CHECK(texts(folder.path() + "/own/lease") == std::vector<std::string>{"y"});
}

TEST_CASE("what is said is one line, whatever was given") {
  const TemporaryFolder folder;
  const auto lease =
      Lease::queue(folder.path(), folder.path(), "a\nb\t\x01" + std::string(2000, 'x'));
  REQUIRE(lease);
  const auto entries = lease_entries(folder.path());
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].text.rfind("a b ?x", 0) == 0);
  CHECK(entries[0].text.size() == 512);
  CHECK(dx::lease_line(entries[0]).find('\n') == std::string::npos);
}
