#include "agent/worker/library_folder.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "agent/files/files.h"
#include "tests/agent/temporary_folder.h"

using namespace dx;
using dx::test::TemporaryFolder;

namespace {

ino_t inode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_ino;
}

}  // namespace

TEST_CASE("names of libraries are file names and nothing else") {
  for (const std::string name : {"libonnxruntime.so.1", "libstdc++.so.6", "a", "_x-1"}) {
    CHECK(is_library_name(name));
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".hidden"),
        std::string("a/b"), std::string("../a"), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string(101, 'a')}) {
    CHECK_FALSE(is_library_name(name));
  }
}

TEST_CASE("libraries are hard links in a folder of their own, which goes with its last owner") {
  const TemporaryFolder folder;
  const std::string content = folder.write("store/content", "code");
  const std::string place = folder.path() + "/libraries-1";
  {
    auto laid = LibraryFolder::lay(place, {{"liba.so", content}, {"libb.so", content}});
    REQUIRE(laid);
    CHECK(list_folder(place) == std::vector<std::string>{"liba.so", "libb.so"});
    CHECK(laid.value()->path_of("liba.so") == place + "/liba.so");
    CHECK(inode_of(place + "/liba.so") == inode_of(content));
    const auto other_owner = laid.value();
  }
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"store"});
  CHECK(read_file(content, 10) == "code");
}

TEST_CASE("where the file system has no hard link they are copied") {
  const TemporaryFolder folder;
  // No file system gives a hard link to a file of another one.
  const std::string content = "/proc/self/cmdline";
  const auto laid = LibraryFolder::lay(folder.path() + "/libraries-1", {{"liba.so", content}});
  REQUIRE(laid);
  CHECK(read_file(laid.value()->path_of("liba.so"), 4096) == read_file(content, 4096));
}

TEST_CASE("what cannot be laid is a failure and leaves nothing") {
  const TemporaryFolder folder;
  const std::string content = folder.write("content", "code");
  const std::string place = folder.path() + "/libraries-1";
  const auto missing =
      LibraryFolder::lay(place, {{"liba.so", content}, {"libb.so", folder.path() + "/none"}});
  REQUIRE_FALSE(missing);
  CHECK(missing.failure().phase == Phase::kSpawn);
  CHECK(missing.failure().message.find(place) != std::string::npos);
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"content"});
  CHECK_FALSE(LibraryFolder::lay(folder.path() + "/a/b", {{"liba.so", content}}));
}
