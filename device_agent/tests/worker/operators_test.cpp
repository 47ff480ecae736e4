// Operators of our own in ncnn: what their layers give, and what is wrong with a line of theirs.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/worker/loaded.h"

using namespace dx;
using namespace dx::test;

namespace {

constexpr FailureCode kRefused = FailureCode::kRuntimeRefused;

// in0 [2, 5] -> the three largest of each row, and where they stand.
Files top_three(const std::string& params = "0=-1 1=1 -23320=3,2,2,5 -23321=2,1,1", float k = 3) {
  return {param_text(4, {"Input in0 0 1 in0 0=5 1=2", "MemoryData k 0 1 k 0=1",
                         "dx.top_k top 2 2 in0 k values indices " + params}),
          plain_floats({k})};
}

Tensor rows() { return tensor_of("in0", {2, 5}, {1, 5, 2, 5, 3, -1, -2, -3, -4, 0}); }

Result<std::int64_t> try_top(const Files& files) {
  const TemporaryFolder folder;
  Result<std::unique_ptr<Model>> model = load(load_of(folder, files, fp32()));
  if (!model) return model.failure();
  if (Status status = model.value()->set_inputs({rows()}); !status) return status.failure();
  return model.value()->run();
}

}  // namespace

TEST_CASE("an operator's layer gives all of its outputs, in the first run and in later ones") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, top_three(), fp32(), {"values", "indices"}));
  for (int run = 0; run < 2; ++run) {
    const std::vector<Tensor> outputs = run_of(*model, {rows()});
    REQUIRE(outputs.size() == 2);
    CHECK(outputs[0].dims == std::vector<std::int64_t>{2, 3});
    CHECK(floats_of(outputs[0]) == std::vector<float>{5, 5, 3, 0, -1, -2});
    CHECK(floats_of(outputs[1]) == std::vector<float>{1, 3, 4, 4, 0, 1});
  }
}

TEST_CASE("attributes that a line leaves out have op.toml's defaults") {
  const TemporaryFolder folder;
  const auto model =
      loaded(load_of(folder, top_three("-23320=3,2,2,5 -23321=2,1,1"), fp32(), {"values"}));
  CHECK(floats_of(run_of(*model, {rows()})[0]) == std::vector<float>{5, 5, 3, 0, -1, -2});
}

TEST_CASE("threads share an operator's rounds") {
  const TemporaryFolder folder;
  RunOptions options = fp32();
  options.threads = 2;
  const auto model = loaded(load_of(folder, top_three(), options, {"indices"}));
  CHECK(floats_of(run_of(*model, {rows()})[0]) == std::vector<float>{1, 3, 4, 4, 0, 1});
}

TEST_CASE("an operator says what it cannot compute") {
  CHECK(fails(try_top(top_three("0=-1 1=1 -23320=3,2,2,5 -23321=2,1,1", 6)), kRefused,
              {"layer 'top' (dx.top_k)", "its K is not between 1 and the size of the axis"}));
  CHECK(fails(try_top(top_three("0=3 1=1 -23320=3,2,2,5 -23321=2,1,1")), kRefused,
              {"its input has no such axis"}));
  CHECK(fails(try_top(top_three("0=-1 1=1 -23320=3,2,2,6 -23321=2,1,1")), kRefused,
              {"an input has another size"}));
}

TEST_CASE("a line that is not the operator's is refused as it is loaded") {
  CHECK_FALSE(try_top(top_three("0=-1 1=1 -23320=3,2,2,5")).ok());
  CHECK_FALSE(try_top(top_three("0=-1 1=1 -23320=3,2,-2,5 -23321=2,1,1")).ok());
  CHECK_FALSE(try_top(top_three("0=-1 1=1 -23320=1,-1 -23321=2,1,1")).ok());
  Files other = top_three();
  other.param.replace(other.param.find("dx.top_k"), 8, "dx.top_j");
  CHECK(fails(try_top(other), kRefused, {"has no operator 'top_j' (layer 'top')"}));
}

TEST_CASE("no line of an operator, however damaged, reads what is not there") {
  const Files whole = top_three();
  const std::size_t begin = whole.param.find("dx.top_k");
  int ran = 0;
  for (std::size_t at = begin; at < whole.param.size(); ++at) {
    for (const char letter : {'0', '7', '9', '-', ' '}) {
      Files damaged = whole;
      damaged.param[at] = letter;
      ran += try_top(damaged).ok() ? 1 : 0;
    }
  }
  CHECK(ran > 0);
}
