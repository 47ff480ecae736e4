#include "agent/store/prepared.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/crypto/sha256.h"
#include "agent/files/files.h"
#include "tests/agent/temporary_folder.h"

using namespace dx;
using dx::test::TemporaryFolder;

namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

const Facts kFacts = {{"runtime", "test"}, {"file param", "ab"}, {"option mode", "fast"}};

std::string only_file(const WorkFolder& work) {
  const std::vector<std::string> names = list_folder(work.prepared());
  REQUIRE(names.size() == 1);
  return work.prepared() + "/" + names[0];
}

}  // namespace

TEST_CASE("a key names all facts, and not their order") {
  const std::string key = prepared_key(kFacts);
  CHECK(is_sha256(key));
  CHECK(prepared_key({kFacts[2], kFacts[0], kFacts[1]}) == key);
  CHECK(prepared_key({kFacts[0], kFacts[1]}) != key);
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    Facts other = kFacts;
    other[i].second += "x";
    CHECK(prepared_key(other) != key);
  }
  // No two lists are one text.
  CHECK(prepared_key({{"ab", "c"}}) != prepared_key({{"a", "bc"}}));
  CHECK(prepared_key({{"a", "b"}, {"c", "d"}}) != prepared_key({{"a", "b1:c1:d"}}));
}

TEST_CASE("what is prepared anew takes the place of what was, and of nothing else") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string key = prepared_key(kFacts);
  const std::string other = prepared_key({kFacts[0]});
  REQUIRE(keep_prepared(work, key, folder.write("sessions/1/prepared-1", "old")));
  REQUIRE(keep_prepared(work, other, folder.write("sessions/1/prepared-2", "another")));
  REQUIRE(keep_prepared(work, key, folder.write("sessions/1/prepared-3", "new")));
  CHECK(list_folder(work.prepared()).size() == 2);
  CHECK(read_file(find_prepared(work, key).value_or(""), 100) == "new");
  CHECK(read_file(find_prepared(work, other).value_or(""), 100) == "another");
}

TEST_CASE("what was prepared is found by its key, until it is damaged") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string key = prepared_key(kFacts);
  CHECK_FALSE(find_prepared(work, key));
  const std::string made = folder.write("sessions/1/prepared-1", "engine");
  REQUIRE(keep_prepared(work, key, made));
  CHECK(list_folder(folder.path() + "/sessions/1").empty());
  const auto found = find_prepared(work, key);
  REQUIRE(found);
  CHECK(*found == only_file(work));
  CHECK(read_file(*found, 100) == "engine");
  CHECK(find_prepared(work, key) == found);
  CHECK_FALSE(find_prepared(work, std::string(64, '0')));

  folder.write("prepared/" + found->substr(work.prepared().size() + 1),
               "engine with a flipped bit");
  CHECK_FALSE(find_prepared(work, key));
  CHECK(list_folder(work.prepared()).empty());
}

TEST_CASE("what another user could have changed is not taken") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const std::string key = prepared_key(kFacts);
  REQUIRE(keep_prepared(work, key, folder.write("made", "engine")));
  REQUIRE(::chmod(only_file(work).c_str(), 0666) == 0);
  CHECK_FALSE(find_prepared(work, key));
  REQUIRE(::chmod(only_file(work).c_str(), 0600) == 0);
  CHECK(find_prepared(work, key));
}

TEST_CASE("each use counts as newer than all before") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const auto used = [](const std::string& path) {
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mtime;
  };
  const std::string content = folder.write("store/" + std::string(64, 'a'), "x");
  struct timespec later[2] = {{4000000000, 0}, {4000000000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, content.c_str(), later, 0) == 0);
  REQUIRE(keep_prepared(work, prepared_key(kFacts), folder.write("made", "engine")));
  const auto first = used(only_file(work));
  CHECK(first > used(content));
  REQUIRE(find_prepared(work, prepared_key(kFacts)));
  CHECK(used(only_file(work)) > first);
}

TEST_CASE("what cannot be kept is a failure") {
  const TemporaryFolder folder;
  const WorkFolder work{folder.path()};
  const Status status = keep_prepared(work, prepared_key(kFacts), folder.path() + "/none");
  REQUIRE_FALSE(status);
  CHECK(status.failure().phase == Phase::kPrepare);
  CHECK(status.failure().message.find("/none") != std::string::npos);
}
