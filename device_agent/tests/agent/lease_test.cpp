#include "agent/session/lease.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/agent/temporary_folder.h"

namespace {

using dx::Lease;
using dx::LeaseEntry;
using dx::LeasePlaces;
using dx::test::TemporaryFolder;

// A process of its own, as a lock belongs to one; it does `work`, says a byte, and waits to be
// killed.
class Child {
 public:
  explicit Child(const std::function<char()>& work) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const char byte = work();
      if (::write(ends[1], &byte, 1) != 1) _exit(1);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    from_.reset(ends[0]);
  }
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), from_(std::move(other.from_)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }

  pid_t pid() const { return pid_; }

  char said() const {
    char byte = '?';
    return ::read(from_.get(), &byte, 1) == 1 ? byte : '!';
  }

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  dx::UniqueFd from_;
};

// Lives until the child is killed: it never comes back from its work.
char look_once(const std::string& shared, const std::string& own, const std::string& text) {
  static std::optional<dx::Result<Lease>> lease;
  lease.emplace(Lease::queue(shared, own, text));
  if (!*lease) return '!';
  const auto first = lease->value().take();
  if (!first) return '!';
  return first.value() ? 'w' : 'h';
}

// One who has the board ('h') or waits ('w').
Child runner(const std::string& folder, const std::string& text, char expected) {
  Child child([&] { return look_once(folder, folder, text); });
  CHECK(child.said() == expected);
  return child;
}

std::vector<std::string> texts(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : LeasePlaces(folder, folder).living()) found.push_back(entry.text);
  return found;
}

std::string shared_folder(const TemporaryFolder& folder, mode_t mode = 01777) {
  const std::string path = folder.path() + "/shared";
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  REQUIRE(::chmod(path.c_str(), mode) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  return path;
}

std::string only_file(const std::string& folder) {
  const auto names = dx::list_folder(folder);
  REQUIRE(names.size() == 1);
  return folder + "/" + names[0];
}

}  // namespace

TEST_CASE("the first has the board, and gives it back with its end") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  Child first = runner(place, "ann@desk: bench a", 'h');
  auto second = Lease::queue(place, place, "bob@lab: bench b");
  REQUIRE(second);
  Lease& lease = second.value();
  const auto holder = lease.take();
  REQUIRE(holder);
  REQUIRE(holder.value());
  CHECK(holder.value()->text == "ann@desk: bench a");
  CHECK(holder.value()->pid == first.pid());
  CHECK(holder.value()->user == ::geteuid());
  CHECK(holder.value()->has_board);
  CHECK(holder.value()->known);
  CHECK(holder.value()->seconds() < 60);
  first.kill();
  CHECK_FALSE(lease.take().value());
}

TEST_CASE("a run that ends in order leaves nothing") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  {
    auto lease = Lease::queue(place, place, "x");
    REQUIRE(lease);
    CHECK_FALSE(lease.value().take().value());
    CHECK(dx::list_folder(place).size() == 1);
  }
  CHECK(dx::list_folder(place).empty());
}

TEST_CASE("those who wait are served in their order, over the dead among them") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  Child first = runner(place, "first", 'h');
  Child second = runner(place, "second", 'w');
  Child third = runner(place, "third", 'w');
  auto last = Lease::queue(place, place, "last");
  REQUIRE(last);
  CHECK(last.value().take().value()->text == "first");
  CHECK(texts(place) == std::vector<std::string>{"first", "second", "third"});
  second.kill();
  CHECK(last.value().take().value()->text == "first");
  first.kill();
  CHECK(last.value().take().value()->text == "third");
  third.kill();
  CHECK_FALSE(last.value().take().value());
}

TEST_CASE("what the dead left is removed by the next run of their user") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  for (int i = 0; i < 3; ++i) runner(place, "killed", 'h').kill();
  CHECK(dx::list_folder(place).size() == 1);
  // Killed between the making of its file and its lock.
  ::close(::open((place + "/deployx-edge-lease-0123456789abcdef").c_str(), O_CREAT, 0600));
  const Child next = runner(place, "next", 'h');
  CHECK(dx::list_folder(place).size() == 1);
}

TEST_CASE("fifty who come at once have the board one by one") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  const std::string witness = folder.path() + "/witness";
  const auto work = [&]() -> char {
    auto lease = Lease::queue(place, place, "one of fifty");
    if (!lease) return '!';
    for (;;) {
      const auto first = lease.value().take();
      if (!first) return '!';
      if (!first.value()) break;
      ::usleep(500);
    }
    const int fd = ::open(witness.c_str(), O_CREAT | O_EXCL, 0600);
    if (fd < 0) return '2';
    ::close(fd);
    ::usleep(1000);
    return ::unlink(witness.c_str()) == 0 ? 'y' : '!';
  };
  std::vector<Child> children;
  for (int i = 0; i < 50; ++i) children.emplace_back(work);
  for (const Child& child : children) CHECK(child.said() == 'y');
}

TEST_CASE("what lies in the folder and is nobody's run is passed over, and never waited for") {
  const TemporaryFolder folder;
  const std::string place = shared_folder(folder);
  const std::string name = place + "/deployx-edge-lease-00000000000000a";
  REQUIRE(::mkfifo((name + "0").c_str(), 0644) == 0);
  REQUIRE(::symlink("/etc/passwd", (name + "1").c_str()) == 0);
  REQUIRE(::mkdir((name + "2").c_str(), 0755) == 0);
  folder.write("shared/deployx-edge-lease-00000000000000a3", "18446744073709551615 x\n");
  folder.write("shared/deployx-edge-lease-00000000000000a4", "1 x\n");
  folder.write("shared/18446744073709551615", "1 1 x\n");
  folder.write("shared/mutex", "");
  REQUIRE(::chmod((name + "4").c_str(), 0000) == 0);
  // Any process may take a lock of this kind on a file that it can read.
  const Child other([&] {
    for (const std::string& path : {name + "3", place + "/mutex"}) {
      if (::flock(::open(path.c_str(), O_RDONLY), LOCK_EX) != 0) return '!';
    }
    // The right kind of lock, held by a process that is no agent.
    return dx::take_lock(::open((name + "3").c_str(), O_RDWR), dx::LeaseFolder::Lock::kLives) == 0
               ? 'y'
               : '!';
  });
  REQUIRE(other.said() == 'y');
  CHECK(LeasePlaces(place, folder.path() + "/own").living().empty());
  auto lease = Lease::queue(place, folder.path() + "/own", "x");
  REQUIRE(lease);
  CHECK(lease.value().why_not_shared().empty());
  CHECK_FALSE(lease.value().take().value());
}

TEST_CASE("what a run says of itself is taken for no more than that") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  const Child child = runner(place, "honest", 'h');
  const std::string file = only_file(place).substr(folder.path().size() + 1);
  for (const std::string words : {"", "18446744073709551616 x", "18446744073709551615 x", "-1 x",
                                  "\x1b[2J", "99999999999999999999999999"}) {
    folder.write(file, words);
    const auto entries = LeasePlaces(place, place).living();
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].pid == child.pid());
    CHECK(entries[0].seconds() == 0);
    CHECK(entries[0].text.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("a shared folder that others can bend is left alone, and so it is said") {
  const TemporaryFolder folder;
  const std::string place = shared_folder(folder, 0777);
  const std::string own = folder.path() + "/own/lease";
  const auto reason = [&](const std::string& shared) {
    const auto lease = Lease::queue(shared, own, "x");
    REQUIRE(lease);
    CHECK(texts(own).empty());  // a process does not see its own lock
    CHECK(dx::list_folder(own).size() == 1);
    return lease.value().why_not_shared();
  };
  CHECK(reason(place).find("not sticky") != std::string::npos);
  CHECK(reason(folder.path() + "/none").find("No such file") != std::string::npos);
  CHECK(reason(folder.write("file", "")).find("Not a directory") != std::string::npos);
  const std::string fifo = folder.path() + "/fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0666) == 0);
  CHECK(reason(fifo).find("Not a directory") != std::string::npos);
  CHECK(dx::list_folder(place).empty());
  REQUIRE(::chmod(place.c_str(), 01777) == 0);
  const auto lease = Lease::queue(place, own, "x");
  REQUIRE(lease);
  CHECK(lease.value().why_not_shared().empty());
  struct stat status{};
  REQUIRE(::stat(only_file(place).c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0644);
  REQUIRE(::stat(own.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0700);
}

TEST_CASE("what is said is one line, whatever was given") {
  const TemporaryFolder folder;
  const std::string place = folder.path() + "/lease";
  const Child child = runner(place, "a\nb\t\x01" + std::string(2000, 'x'), 'h');
  const auto entries = LeasePlaces(place, place).living();
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].text.rfind("a b ?x", 0) == 0);
  CHECK(entries[0].text.size() == 512);
  CHECK(dx::lease_line(entries[0]).find('\n') == std::string::npos);
}
