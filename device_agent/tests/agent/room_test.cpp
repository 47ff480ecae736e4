#include "agent/receive/room.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <string>
#include <vector>

#include "agent/store/prepared.h"
#include "tests/agent/temporary_folder.h"
// After the folder, whose checks it uses.
#include "tests/agent/push.h"

namespace {

using dx::Keeping;
using dx::WorkFolder;
using dx::test::manifest_text;
using dx::test::Push;
using dx::test::PushedFile;
using dx::test::sha256_of;
using dx::test::TemporaryFolder;

// Pushes one file of 1000 bytes as a bundle; what was asked for comes in one piece.
void push_one(const WorkFolder& work, const std::string& bundle, char letter,
              std::uint64_t keep_bytes) {
  const std::vector<PushedFile> files = {{"file", std::string(1000, letter)}};
  Push one(work, Keeping{keep_bytes, "/w/bin/dx-agent-now"});
  one.write(manifest_text(bundle, files));
  REQUIRE(one.line().rfind("deployx-receive 2 ", 0) == 0);
  if (one.line() != "end") {
    one.write(files[0].bytes);
    REQUIRE(one.line() == "end");
  }
  CHECK(one.finish().back() == "done " + bundle);
}

bool holds(const WorkFolder& work, char letter) {
  return dx::read_file(work.content(sha256_of(std::string(1000, letter))), 1).has_value();
}

}  // namespace

TEST_CASE("the oldest contents go first, with the lists that named them") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  push_one(work, "a", 'a', 2500);
  push_one(work, "b", 'b', 2500);
  CHECK((holds(work, 'a') && holds(work, 'b')));
  push_one(work, "a", 'a', 2500);  // used again: now b is the oldest
  push_one(work, "c", 'c', 2500);
  CHECK((holds(work, 'a') && !holds(work, 'b') && holds(work, 'c')));
  CHECK(dx::list_folder(work.bundles()) == std::vector<std::string>{"a", "c"});
}

TEST_CASE("a clock that was set back does not make new contents old") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  push_one(work, "a", 'a', 2500);
  // As if the board had known the date then, and now it is long ago.
  const struct timespec later[2] = {{std::time(nullptr) + 1000000, 0},
                                    {std::time(nullptr) + 1000000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, work.content(sha256_of(std::string(1000, 'a'))).c_str(), later,
                      0) == 0);
  push_one(work, "b", 'b', 2500);
  push_one(work, "c", 'c', 2500);
  CHECK((!holds(work, 'a') && holds(work, 'b') && holds(work, 'c')));
}

TEST_CASE("earlier programs and forgotten halves go, the program that runs stays") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  folder.write("bin/dx-agent-old", std::string(5000, 'o'));
  folder.write("bin/dx-agent-now", std::string(5000, 'n'));
  folder.write("incoming/" + sha256_of("half") + ".part", std::string(5000, 'h'));
  push_one(work, "a", 'a', 7000);
  CHECK(holds(work, 'a'));
  CHECK(dx::list_folder(work.programs()) == std::vector<std::string>{"dx-agent-now"});
  CHECK(dx::list_folder(work.incoming()).empty());
}

TEST_CASE("what was prepared goes by its last use, like all else") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string key(64, 'e');
  REQUIRE(dx::keep_prepared(work, key, folder.write("made", std::string(1000, 'p'))));
  push_one(work, "a", 'a', 2500);
  REQUIRE(dx::find_prepared(work, key));  // used: now a is the oldest
  push_one(work, "b", 'b', 2500);
  CHECK((!holds(work, 'a') && holds(work, 'b')));
  CHECK(dx::find_prepared(work, key));
  push_one(work, "b", 'b', 2500);
  push_one(work, "c", 'c', 2500);
  CHECK((holds(work, 'b') && holds(work, 'c')));
  CHECK(dx::list_folder(work.prepared()).empty());
}

TEST_CASE("without a limit everything stays") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  for (const char letter : {'a', 'b', 'c'}) push_one(work, std::string(1, letter), letter, 0);
  CHECK((holds(work, 'a') && holds(work, 'b') && holds(work, 'c')));
}
