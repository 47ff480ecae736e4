#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "agent/command_line.h"
#include "agent/store/check.h"
#include "agent/store/check_command.h"
#include "agent/store/verified.h"
#include "tests/agent/temporary_folder.h"
// After the folder, whose checks it uses.
#include "tests/agent/push.h"

namespace {

using dx::check_content;
using dx::ContentState;
using dx::Thoroughness;
using dx::Verified;
using dx::WorkFolder;
using dx::test::manifest_text;
using dx::test::Push;
using dx::test::push;
using dx::test::sha256_of;
using dx::test::TemporaryFolder;

const dx::HashProgress kGoOn = [](std::uint64_t) { return true; };

// Changes bytes in the middle, as a worn disk does; the file keeps its size.
void damage(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3);
  file << "??";
}

// The same, and its time of change stays too.
void damage_secretly(const std::string& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  damage(path);
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

ContentState look(const WorkFolder& work, const std::string& sha256,
                  Thoroughness how = Thoroughness::kQuick) {
  Verified verified(work);
  const ContentState state = check_content(work, sha256, verified, how, kGoOn).state;
  verified.save();
  return state;
}

}  // namespace

TEST_CASE("a content is hashed once, and again where its file looks otherwise") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string sha256 = sha256_of("a content");
  CHECK(look(work, sha256) == ContentState::kMissing);
  const std::string path = folder.write("store/" + sha256, "a content");
  REQUIRE(dx::make_folders(work.incoming()) == 0);
  CHECK(look(work, sha256) == ContentState::kGood);
  damage_secretly(path);
  CHECK(look(work, sha256) == ContentState::kGood);  // what the next line is there for
  CHECK(look(work, sha256, Thoroughness::kFull) == ContentState::kDamaged);
  damage(path);
  CHECK(look(work, sha256) == ContentState::kDamaged);
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("a folder, or a link that leads nowhere, is no content") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string name = sha256_of("a content");
  folder.write("store/" + name + "/inside", "x");
  CHECK(look(work, name) == ContentState::kDamaged);
  const auto pushed = push(work, "b", {{"a", "a content"}});
  CHECK(pushed.lines.back() == "done b");
  CHECK(folder.read("store/" + name) == "a content");
}

TEST_CASE("hashing ends when the caller wants no more of it") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string bytes(1 << 20, 'b');
  folder.write("store/" + sha256_of(bytes), bytes);
  Verified verified(work);
  const auto stop = [](std::uint64_t) { return false; };
  CHECK(check_content(work, sha256_of(bytes), verified, Thoroughness::kQuick, stop).state ==
        ContentState::kStopped);
}

TEST_CASE("what the list of hashed contents says counts only where it is ours alone") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  REQUIRE(push(work, "b", {{"a", "a content"}}).exit_code == 0);
  const std::string path = work.content(sha256_of("a content"));
  damage_secretly(path);
  CHECK(look(work, sha256_of("a content")) == ContentState::kGood);
  REQUIRE(::chmod(work.verified().c_str(), 0666) == 0);
  CHECK(look(work, sha256_of("a content")) == ContentState::kDamaged);
}

TEST_CASE("damaged contents are asked for again, and said") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::vector<dx::test::PushedFile> files = {{"a", "a content"}, {"b", "another one"}};
  REQUIRE(push(work, "b", files).exit_code == 0);
  damage(work.content(sha256_of("a content")));
  Push host(work);
  host.write(manifest_text("b", files));
  CHECK(host.line().rfind("deployx-receive 2 ", 0) == 0);
  CHECK(host.line() == "need " + sha256_of("a content") + " 0");
  CHECK(host.line() == "damaged " + sha256_of("a content"));
  CHECK(host.line() == "end");
  host.write("a content");
  CHECK(host.finish().back() == "done b");
  CHECK(folder.read("store/" + sha256_of("a content")) == "a content");
}

TEST_CASE("a use that is noted does not make a content be hashed again") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const auto push_kept = [&work](bool verify) {
    Push host(work, dx::Keeping{1 << 20, "/w/bin/dx-agent-now", verify});
    host.write(manifest_text("b", {{"a", "a content"}}));
    host.line();
    const bool needed = host.line() != "end";
    if (needed) host.write("a content");
    CHECK(host.finish().back() == "done b");
    return needed;
  };
  CHECK(push_kept(false));
  damage_secretly(work.content(sha256_of("a content")));
  CHECK_FALSE(push_kept(false));
  CHECK_FALSE(push_kept(false));
  CHECK(push_kept(true));
}

TEST_CASE("a file that the disk changed after it arrived is not taken") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string bytes(600000, 'c');
  const std::string part = work.incoming() + "/" + sha256_of(bytes) + ".part";
  Push host(work);
  host.write(manifest_text("b", {{"a", bytes}}) + bytes.substr(0, 500000));
  struct stat status{};
  for (int i = 0; i < 6000 && (::stat(part.c_str(), &status) != 0 || status.st_size < 500000);
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  damage(part);
  host.write(bytes.substr(500000));
  CHECK(host.finish().back().rfind("error corrupt what the disk kept of ", 0) == 0);
  CHECK(dx::list_folder(work.store()).empty());
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("the check of a store removes what is damaged") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  REQUIRE(push(work, "b", {{"a", "a content"}, {"b", "another one"}}).exit_code == 0);
  damage_secretly(work.content(sha256_of("a content")));
  dx::CommandLine line;
  line.work = work.path;
  CHECK(dx::check_store(line) == 0);
  CHECK(dx::list_folder(work.store()) == std::vector<std::string>{sha256_of("another one")});
}

TEST_CASE("a program knows whether it is the file that it should be") {
  const TemporaryFolder folder;
  const std::string path = folder.write("program", "a program");
  dx::CommandLine line;
  line.self_sha256 = sha256_of("a program");
  CHECK(dx::check_self(line, path.c_str()) == 0);
  damage(path);
  CHECK(dx::check_self(line, path.c_str()) == 1);
}

TEST_CASE("what another user could change is named, and not used") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  REQUIRE(push(work, "b", {{"a", "a content"}}).exit_code == 0);
  const std::string content = work.content(sha256_of("a content"));
  for (const std::string& place : {work.path, work.store(), work.bundles(), content}) {
    CAPTURE(place);
    REQUIRE(::chmod(place.c_str(), 0777) == 0);
    CHECK(push(work, "b", {{"a", "a content"}}).lines.back() ==
          "error untrusted " + place + " may be written by every user");
    REQUIRE(::chmod(place.c_str(), 0700) == 0);
  }
  // Only in the work folder itself may everybody make a file, where it is sticky.
  REQUIRE(::chmod(work.path.c_str(), 01777) == 0);
  CHECK(push(work, "b", {{"a", "a content"}}).exit_code == 0);
  REQUIRE(::chmod(work.store().c_str(), 01777) == 0);
  CHECK(push(work, "b", {{"a", "a content"}}).exit_code == 1);
}
