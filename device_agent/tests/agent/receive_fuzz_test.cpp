#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/agent/temporary_folder.h"
// After the folder, whose checks it uses.
#include "tests/agent/push.h"

namespace {

using dx::test::manifest_text;
using dx::test::Push;
using dx::test::sha256_of;
using dx::test::TemporaryFolder;

// Changes a text in one of the ways in which hosts go wrong, or attackers right.
std::string mutated(std::string text, std::mt19937& random) {
  static const std::string kPieces[] = {"\n",
                                        "../",
                                        "end\n",
                                        " ",
                                        std::string(2000, 'z'),
                                        "-1",
                                        "18446744073709551615",
                                        std::string(1, '\0'),
                                        "file ",
                                        "\xff\xfe",
                                        "deployx-receive 2\n",
                                        "x"};
  const unsigned count = 1 + random() % 4;
  for (unsigned i = 0; i < count && !text.empty(); ++i) {
    const std::size_t at = random() % text.size();
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + random() % 20);
        break;
      case 2:
        text.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 3:
        text.insert(at, text.substr(at, 1 + random() % 200));
        break;
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a mutated push ends in an error or well, and leaves nothing but checked content") {
  std::mt19937 random(20261121);
  const TemporaryFolder folder;
  const dx::WorkFolder work{folder.path() + "/work"};
  const std::string contents[] = {"abc", std::string(3000, 'q'), ""};
  const std::string whole =
      manifest_text("b", {{"a/b", contents[0]}, {"c", contents[1], true}, {"d", contents[2]}}) +
      contents[0] + contents[1];
  for (int round = 0; round < 600; ++round) {
    const std::string bytes = mutated(whole, random);
    CAPTURE(round);
    Push host(work);
    host.write(bytes);
    const auto lines = host.finish();
    REQUIRE_FALSE(lines.empty());
    const bool is_done = lines.back().rfind("done ", 0) == 0;
    const bool is_error = lines.back().rfind("error ", 0) == 0;
    REQUIRE((is_done || is_error));
    REQUIRE(host.exit_code() == (is_done ? 0 : 1));
    for (const std::string& name : dx::list_folder(work.store())) {
      REQUIRE(sha256_of(dx::read_file(work.store() + "/" + name, 1 << 20).value()) == name);
    }
    if (round % 3 == 0) REQUIRE(dx::remove_tree(work.path) == 0);
  }
  CHECK(dx::list_folder(folder.path()).size() <= 1);
}
