#include "agent/crypto/sha256.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using dx::Sha256;

std::string hash(const std::string& message, dx::Sha256Engine engine = dx::best_sha256()) {
  Sha256 sha(engine);
  sha.update(message);
  return sha.hex_digest();
}

std::vector<dx::Sha256Engine> engines() { return {dx::portable_sha256(), dx::best_sha256()}; }

}  // namespace

TEST_CASE("the examples of FIPS 180-4 give their digests") {
  for (const dx::Sha256Engine& engine : engines()) {
    CAPTURE(engine.name);
    CHECK(hash("", engine) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash("abc", engine) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", engine) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(hash("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
               "klmnopqrlmnopqrsmnopqrstnopqrstu",
               engine) == "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    CHECK(hash(std::string(1000000, 'a'), engine) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST_CASE("messages around the block's and the padding's edges give their digests") {
  const std::vector<std::pair<std::size_t, std::string>> cases = {
      {1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
      {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
      {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
      {57, "f13b2d724659eb3bf47f2dd6af1accc87b81f09f59f2b75e5c0bed6589dfe8c6"},
      {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
      {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
      {65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
      {119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
      {120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
      {127, "c57e9278af78fa3cab38667bef4ce29d783787a2f731d4e12200270f0c32320a"},
      {128, "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e"},
      {129, "c12cb024a2e5551cca0e08fce8f1c5e314555cc3fef6329ee994a3db752166ae"},
      {1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"}};
  for (const dx::Sha256Engine& engine : engines()) {
    for (const auto& [size, digest] : cases) {
      CAPTURE(engine.name);
      CAPTURE(size);
      CHECK(hash(std::string(size, 'a'), engine) == digest);
    }
  }
}

TEST_CASE("both engines agree however the message is cut") {
  std::mt19937 random(7);
  for (std::size_t size = 0; size < 400; ++size) {
    std::string message(size, '\0');
    for (char& byte : message) byte = static_cast<char>(random());
    Sha256 cut;
    for (std::size_t done = 0; done < size;) {
      const std::size_t step = std::min<std::size_t>(size - done, random() % 90);
      cut.update(message.data() + done, step);
      done += step;
    }
    REQUIRE(cut.hex_digest() == hash(message, dx::portable_sha256()));
    REQUIRE(hash(message) == hash(message, dx::portable_sha256()));
  }
}

TEST_CASE("only 64 lower-case digits are a sha256") {
  const std::string good = hash("abc");
  CHECK(dx::is_sha256(good));
  CHECK_FALSE(dx::is_sha256(good.substr(1)));
  CHECK_FALSE(dx::is_sha256(good + "0"));
  CHECK_FALSE(dx::is_sha256("B" + good.substr(1)));
  CHECK_FALSE(dx::is_sha256("../" + good.substr(3)));
}
