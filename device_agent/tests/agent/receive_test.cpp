#include "agent/receive/receive.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/agent/temporary_folder.h"
// After the folder, whose checks it uses.
#include "tests/agent/push.h"

namespace {

using dx::WorkFolder;
using dx::test::manifest_text;
using dx::test::Push;
using dx::test::push;
using dx::test::PushedFile;
using dx::test::sha256_of;
using dx::test::TemporaryFolder;

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// What was written to a receiver reaches its file a little later.
void wait_for_size(const std::string& path, std::int64_t bytes) {
  struct stat status{};
  for (int i = 0; i < 6000; ++i) {
    if (::stat(path.c_str(), &status) == 0 && status.st_size >= bytes) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("the file does not grow: " << path);
}

bool is_executable(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & 0777) == 0755;
}

}  // namespace

TEST_CASE("a push fills the store and names the bundle; the next sends nothing") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path() + "/deep/work"};
  const std::vector<PushedFile> files = {{"model.bin", noise(300000, 1)},
                                         {"run", "program", true},
                                         {"empty", ""},
                                         {"copy", "program"}};
  const auto first = push(work, "digits", files);
  CHECK(first.exit_code == 0);
  CHECK(first.needs.size() == 3);
  CHECK(first.lines.back() == "done digits");
  CHECK(dx::read_file(work.content(sha256_of(files[0].bytes)), 400000) == files[0].bytes);
  CHECK(is_executable(work.content(sha256_of("program"))));
  CHECK_FALSE(is_executable(work.content(sha256_of(""))));
  CHECK(dx::list_folder(work.incoming()).empty());
  CHECK(dx::list_folder(work.bundles()) == std::vector<std::string>{"digits"});

  const auto second = push(work, "digits", files);
  CHECK(second.exit_code == 0);
  CHECK(second.needs.empty());
  CHECK(second.sent == 0);
}

TEST_CASE("the host hears what has arrived, at least every 768 KiB") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  // One read beyond the half MiB at most.
  const auto result = push(work, "b", {{"a", noise(1U << 21, 1)}, {"b", noise(1U << 20, 2)}});
  std::size_t last = 0;
  for (const std::string& line : result.lines) {
    if (line.rfind("have ", 0) != 0) continue;
    const std::size_t arrived = std::stoul(line.substr(5));
    CHECK(arrived > last);
    CHECK(arrived <= last + 3 * (std::size_t{1} << 18));
    last = arrived;
  }
  CHECK(last > result.sent - 3 * (std::size_t{1} << 18));
  CHECK(result.lines.back() == "done b");
}

TEST_CASE("a content that was pushed as data becomes executable when a bundle says so") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  REQUIRE(push(work, "b", {{"p", "program", false}}).exit_code == 0);
  CHECK_FALSE(is_executable(work.content(sha256_of("program"))));
  const auto again = push(work, "b", {{"p", "program", true}});
  CHECK(again.needs.empty());
  CHECK(is_executable(work.content(sha256_of("program"))));
}

TEST_CASE("wherever the link is cut, the next push goes on at that byte") {
  const std::vector<PushedFile> files = {{"a", noise(700, 1)}, {"b", noise(900, 2)}};
  const std::size_t total = 1600;
  for (std::size_t cut = 0; cut < total; cut += 37) {
    CAPTURE(cut);
    const TemporaryFolder folder;
    const WorkFolder work{folder.path()};
    const auto broken = push(work, "b", files, cut);
    CHECK(broken.exit_code == 1);
    CHECK(broken.lines.back().rfind("error protocol ", 0) == 0);
    CHECK(dx::list_folder(work.bundles()).empty());
    const auto resumed = push(work, "b", files);
    CHECK(resumed.exit_code == 0);
    CHECK(resumed.sent == total - cut);
    CHECK(dx::read_file(work.content(sha256_of(files[1].bytes)), 1000) == files[1].bytes);
    CHECK(dx::list_folder(work.incoming()).empty());
  }
}

TEST_CASE("a list that is cut at any byte changes nothing") {
  const std::string text = manifest_text("b", {{"a", "abc"}, {"c", "def"}});
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  for (std::size_t cut = 0; cut < text.size(); cut += 3) {
    Push host(work);
    host.write(text.substr(0, cut));
    const auto lines = host.finish();
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].rfind("error protocol ", 0) == 0);
    CHECK(host.exit_code() == 1);
  }
  CHECK(dx::list_folder(folder.path()).empty());
}

TEST_CASE("a wrong byte is corrupt, and the next push starts anew") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string good = noise(5000, 3);
  Push host(work);
  host.write(manifest_text("b", {{"a", good}}) + noise(5000, 4));
  const auto lines = host.finish();
  CHECK(lines.back().rfind("error corrupt ", 0) == 0);
  CHECK(dx::list_folder(work.incoming()).empty());
  CHECK(dx::list_folder(work.store()).empty());
  const auto again = push(work, "b", {{"a", good}});
  CHECK(again.needs == std::vector<std::string>{sha256_of(good) + " 0"});
  CHECK(again.exit_code == 0);
}

TEST_CASE("a part that lies about its bytes is found out") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string good = noise(5000, 3);
  folder.write("incoming/" + sha256_of(good) + ".part", noise(2000, 9));
  const auto resumed = push(work, "b", {{"a", good}});
  CHECK(resumed.needs == std::vector<std::string>{sha256_of(good) + " 2000"});
  CHECK(resumed.lines.back().rfind("error corrupt ", 0) == 0);
  CHECK(push(work, "b", {{"a", good}}).exit_code == 0);
}

TEST_CASE("a part that is too long, and a content of a wrong size, are started anew") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string good = noise(500, 3);
  folder.write("incoming/" + sha256_of(good) + ".part", noise(600, 9));
  folder.write("store/" + sha256_of(good), "short");
  const auto fixed = push(work, "b", {{"a", good}});
  CHECK(fixed.needs == std::vector<std::string>{sha256_of(good) + " 0"});
  CHECK(fixed.exit_code == 0);
  CHECK(dx::read_file(work.content(sha256_of(good)), 1000) == good);
}

TEST_CASE("two pushes of one content at once do not disturb each other") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string bytes = noise(200000, 5);
  // A part to resume makes the first push hold its lock from the answer on.
  REQUIRE(push(work, "b", {{"a", bytes}}, 50000).exit_code == 1);
  Push slow(work);
  slow.write(manifest_text("b", {{"a", bytes}}));
  slow.line();
  REQUIRE(slow.line() == "need " + sha256_of(bytes) + " 50000");
  slow.write(bytes.substr(50000, 10000));
  wait_for_size(work.incoming() + "/" + sha256_of(bytes) + ".part", 60000);
  const auto fast = push(work, "b", {{"a", bytes}});
  CHECK(fast.exit_code == 0);
  CHECK(fast.sent == 140000);  // it goes on from what the first has by now
  slow.write(bytes.substr(60000));
  CHECK(slow.finish().back() == "done b");
  CHECK(slow.exit_code() == 0);
  CHECK(dx::read_file(work.content(sha256_of(bytes)), 300000) == bytes);
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("a push whose earlier receiver still waits on a dead link is resumed all the same") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string bytes = noise(900000, 6);
  const std::string part = work.incoming() + "/" + sha256_of(bytes) + ".part";
  Push frozen(work);
  frozen.write(manifest_text("b", {{"a", bytes}}) + bytes.substr(0, 600000));
  wait_for_size(part, 600000);
  const auto retry = push(work, "b", {{"a", bytes}}, 100000);
  CHECK(retry.needs == std::vector<std::string>{sha256_of(bytes) + " 600000"});
  CHECK(retry.exit_code == 1);
  const auto second = push(work, "b", {{"a", bytes}});
  CHECK(second.sent == 300000);
  CHECK(second.exit_code == 0);
  CHECK(dx::read_file(work.content(sha256_of(bytes)), 1000000) == bytes);
  CHECK(dx::list_folder(work.incoming()).size() == 1);  // the first still holds its own
  CHECK(frozen.finish().back().rfind("error protocol ", 0) == 0);
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("a part whose content came by another push is removed by the next") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  REQUIRE(push(work, "b", {{"a", "abc"}}).exit_code == 0);
  folder.write("incoming/" + sha256_of("abc") + ".part", "ab");
  REQUIRE(push(work, "b", {{"a", "abc"}}).exit_code == 0);
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("the private part of a push that died is removed by the next") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  folder.write("incoming/" + sha256_of("x") + ".123-0.part", "half");
  folder.write("incoming/" + sha256_of("y") + ".part", "half");
  folder.write("bundles/b~999999999", "half a list");
  REQUIRE(push(work, "b", {{"a", "abc"}}).exit_code == 0);
  CHECK(dx::list_folder(work.incoming()) == std::vector<std::string>{sha256_of("y") + ".part"});
  CHECK(dx::list_folder(work.bundles()) == std::vector<std::string>{"b"});
}

TEST_CASE("a push that cannot fit is refused before any byte of it is taken") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  Push host(work);
  host.write("deployx-receive 2\nbundle b\nfile " + std::string(64, 'a') +
             " 1099511627776 - a\nfile " + std::string(64, 'b') + " 1099511627776 - b\nend\n");
  const std::string line = host.line();
  CHECK(line.rfind("error no-space the push needs 2199023255552 bytes, ", 0) == 0);
  host.finish();
  CHECK(host.exit_code() == 1);
}

TEST_CASE("a full disk is named and keeps no half of a file") {
  // Real file systems that are full or read-only need a mount: where that is not allowed, the
  // integration tests' board without root shows the same by permissions.
  const TemporaryFolder folder;
  const std::string mount = folder.path() + "/small";
  REQUIRE(dx::make_folders(mount) == 0);
  if (std::system(("mount -t tmpfs -o size=256k none " + mount + " 2>/dev/null").c_str()) != 0) {
    MESSAGE("skipped: a full disk needs the right to mount a tmpfs");
    return;
  }
  {
    const WorkFolder work{mount};
    const std::string bytes = noise(150000, 6);
    Push host(work);
    host.write(manifest_text("b", {{"a", bytes}}));
    host.line();
    host.line();
    host.line();
    folder.write("small/ballast", std::string(160000, 'b'));  // since the answer it has got full
    host.write(bytes);
    CHECK(host.finish().back().rfind("error no-space ", 0) == 0);
    CHECK(dx::list_folder(work.incoming()).empty());
  }
  CHECK(std::system(("mount -o remount,ro " + mount).c_str()) == 0);
  CHECK(push(WorkFolder{mount}, "b", {{"a", "abc"}}).lines.back().rfind("error read-only ", 0) ==
        0);
  CHECK(std::system(("umount " + mount).c_str()) == 0);
}

TEST_CASE("a work folder that is a file, or below one, is named") {
  const TemporaryFolder folder;
  const std::string file = folder.write("file", "x");
  CHECK(push(WorkFolder{file}, "b", {}).lines.back().rfind("error io ", 0) == 0);
  CHECK(push(WorkFolder{file + "/work"}, "b", {}).lines.back().rfind("error io ", 0) == 0);
}

TEST_CASE("symbolic links in the work folder are not followed out of it") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path() + "/work"};
  const std::string outside = folder.write("outside", "precious");
  REQUIRE(dx::make_folders(work.incoming()) == 0);
  const std::string part = work.incoming() + "/" + sha256_of("abc") + ".part";
  REQUIRE(::symlink(outside.c_str(), part.c_str()) == 0);
  push(work, "b", {{"a", "abc"}});
  CHECK(folder.read("outside") == "precious");
}

TEST_CASE("a host that reads nothing until it has sent everything is served") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  // So many answers that they do not fit into the pipe.
  std::vector<PushedFile> files;
  std::string bytes;
  for (int i = 0; i < 1500; ++i) {
    files.push_back({std::to_string(i), std::to_string(i)});
    bytes += std::to_string(i);
  }
  Push host(work);
  host.write(manifest_text("b", files));
  for (std::string line = host.line(); line != "end"; line = host.line()) {
  }
  host.write(bytes);
  CHECK(host.finish().back() == "done b");
}
