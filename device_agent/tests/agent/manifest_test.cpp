#include "agent/receive/manifest.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

const std::string kSha(64, 'a');

// The manifest of these lines, or the text of the refusal.
struct Parsed {
  dx::Manifest manifest;
  std::string refusal;
};

Parsed parse(const std::vector<std::string>& lines) {
  dx::ManifestParser parser;
  for (const std::string& line : lines) {
    if (const auto error = parser.take(line)) {
      CHECK(error->code == dx::ReceiveCode::kProtocol);
      CHECK(error->text.find('\n') == std::string::npos);
      return {{}, error->text};
    }
  }
  REQUIRE(parser.complete());
  return {parser.manifest(), ""};
}

Parsed parse_file(const std::string& line) {
  return parse({"deployx-receive 2", "bundle b", line, "end"});
}

}  // namespace

TEST_CASE("a manifest gives its files and each content once") {
  const std::string other(64, 'b');
  const auto parsed =
      parse({"deployx-receive 2", "bundle my-model_1.0", "file " + kSha + " 5 - a/b c",
             "file " + other + " 0 x run", "file " + kSha + " 5 x d", "end"});
  REQUIRE(parsed.refusal.empty());
  CHECK(parsed.manifest.bundle == "my-model_1.0");
  REQUIRE(parsed.manifest.files.size() == 3);
  CHECK(parsed.manifest.files[0].path == "a/b c");
  REQUIRE(parsed.manifest.contents.size() == 2);
  CHECK(parsed.manifest.contents[0].sha256 == kSha);
  CHECK(parsed.manifest.contents[0].executable);  // one of its two files is
  CHECK(parsed.manifest.contents[1].size == 0);
  CHECK(parsed.manifest.list() ==
        "deployx-bundle 1\n" + kSha + " 5 - a/b c\n" + other + " 0 x run\n" + kSha + " 5 x d\n");
}

TEST_CASE("what leaves the bundle's folder is refused") {
  for (const std::string path :
       {"/etc/passwd", "..", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "", "a/./b"}) {
    CAPTURE(path);
    CHECK(parse_file("file " + kSha + " 1 - " + path).refusal.find("relative path") !=
          std::string::npos);
  }
  CHECK_FALSE(parse_file("file " + kSha + " 1 - " + std::string(1025, 'p')).refusal.empty());
  CHECK_FALSE(parse_file("file " + kSha + " 1 - a\tb").refusal.empty());
  CHECK_FALSE(parse_file("file " + kSha + " 1 - " + std::string("a\0b", 3)).refusal.empty());
  CHECK(parse_file("file " + kSha + " 1 - ..a/b..").refusal.empty());
}

TEST_CASE("bundle names are names") {
  for (const std::string name : {"", ".", "..", "a/b", "a b", "~", "a\\b", "\xc3\xa9"}) {
    CAPTURE(name);
    CHECK_FALSE(dx::is_bundle_name(name));
  }
  CHECK_FALSE(dx::is_bundle_name(std::string(129, 'a')));
  CHECK(dx::is_bundle_name(std::string(128, 'a')));
}

TEST_CASE("sizes are plain numbers up to a tebibyte") {
  for (const std::string size : {"-1", "+1", "01", "1e3", "0x10", "", " 1", "1099511627777",
                                 "18446744073709551616", "99999999999999999999999999"}) {
    CAPTURE(size);
    CHECK_FALSE(parse_file("file " + kSha + " " + size + " - a").refusal.empty());
  }
  CHECK(parse_file("file " + kSha + " 1099511627776 - a").refusal.empty());
}

TEST_CASE("other lines are refused") {
  CHECK_FALSE(parse({"deployx-receive 1"}).refusal.empty());
  CHECK_FALSE(parse({"deployx-receive 2", "file x"}).refusal.empty());
  CHECK_FALSE(parse_file("file " + kSha).refusal.empty());
  CHECK_FALSE(parse_file("file " + kSha + " 1").refusal.empty());
  CHECK_FALSE(parse_file("file " + kSha + " 1 r a").refusal.empty());
  CHECK_FALSE(parse_file("file " + std::string(64, 'A') + " 1 - a").refusal.empty());
  CHECK_FALSE(parse_file("file " + std::string(63, 'a') + " 1 - a").refusal.empty());
  CHECK_FALSE(parse_file("folder a").refusal.empty());
}

TEST_CASE("a manifest may not contradict itself") {
  const std::string first = "file " + kSha + " 5 - a";
  CHECK_FALSE(parse({"deployx-receive 2", "bundle b", first, first}).refusal.empty());
  CHECK_FALSE(
      parse({"deployx-receive 2", "bundle b", first, "file " + kSha + " 6 - b"}).refusal.empty());
}

TEST_CASE("one file more than 100000 is refused") {
  dx::ManifestParser parser;
  REQUIRE_FALSE(parser.take("deployx-receive 2"));
  REQUIRE_FALSE(parser.take("bundle b"));
  for (int i = 0; i < 100000; ++i) {
    REQUIRE_FALSE(parser.take("file " + kSha + " 1 - " + std::to_string(i)));
  }
  CHECK(parser.take("file " + kSha + " 1 - one-more"));
}
