// What a run of an operator's layer costs in ncnn beside its arithmetic: the threads that it was
// given do its rounds, and no round or product takes memory of the system's.
#include <allocator.h>
#include <doctest/doctest.h>
#include <layer.h>
#include <paramdict.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "workers/ncnn/operator.h"

#if defined(__SANITIZE_ADDRESS__)
// Of <sanitizer/allocator_interface.h>, which not every compiler brings along.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*,
                                                                  std::size_t),
                                                         void (*)(const volatile void*));
#endif

namespace dx::op::deform_conv {
ncnn::Layer* make_ncnn_layer(void*);
}

using namespace dx;

namespace {

constexpr int kFirstShape = 20;

ncnn::Mat list_of(const std::vector<int>& values) {
  ncnn::Mat mat(static_cast<int>(values.size()));
  for (int i = 0; i < mat.w; ++i) mat.row<int>(0)[i] = values[static_cast<std::size_t>(i)];
  return mat;
}

constexpr op::NameFact kNames[] = {{"tests", "Rounds"}};
constexpr op::PortFact kPort[] = {{"x", op::Element::kFloat, false}};
constexpr op::OperatorFacts kFacts = {"rounds", 1, kNames, 0, nullptr, 1, kPort, 1, kPort};

std::array<std::thread::id, 8> rounds;

// Notes which thread does each of its rounds.
class Rounds {
 public:
  explicit Rounds(const op::Attributes&) {}

  const char* run(op::Call& call) const {
    call.parallel(static_cast<std::int64_t>(rounds.size()), [](std::int64_t round, int) {
      rounds[static_cast<std::size_t>(round)] = std::this_thread::get_id();
    });
    return call.output(0, {1}) == nullptr ? op::kNoMemory : nullptr;
  }
};

// Throws in the round that is its attribute.
class Throws {
 public:
  explicit Throws(const op::Attributes& attributes) : round_(attributes.integer("round")) {}

  const char* run(op::Call& call) const {
    call.parallel(4, [this](std::int64_t round, int) {
      if (round == round_) throw std::length_error("as a vector does");
    });
    return "it did not throw";
  }

 private:
  std::int64_t round_;
};

constexpr op::AttributeFact kRound[] = {{"round", op::AttributeKind::kInteger, "", 0, nullptr}};
constexpr op::OperatorFacts kThrows = {"throws", 1, kNames, 1, kRound, 1, kPort, 1, kPort};

// Runs a layer of one input with that many threads; its return code.
template <class Kernel>
int run_layer(const op::OperatorFacts& facts, ncnn::ParamDict params, int threads) {
  NcnnKernel<Kernel> layer(facts);
  params.set(kFirstShape, list_of({1, 1}));
  ncnn::Option option = ncnn::Option();
  option.num_threads = threads;
  REQUIRE(layer.load_param(params) == 0);
  std::vector<ncnn::Mat> tops(1);
  ncnn::Mat bottom(1);
  bottom.fill(0.0F);
  return layer.forward({bottom}, tops, option);
}

std::set<std::thread::id> threads_of(int threads) {
  REQUIRE(run_layer<Rounds>(kFacts, {}, threads) == 0);
  return {rounds.begin(), rounds.end()};
}

#if defined(__SANITIZE_ADDRESS__)

// ncnn's pool notes each piece that it lends in a node of a list, of some 40 bytes.
constexpr std::size_t kLeast = 128;
thread_local int taken = 0;

void note_taken(const volatile void*, std::size_t bytes) { taken += bytes >= kLeast ? 1 : 0; }
void note_freed(const volatile void*) {}

// What the system is asked for by a second run of a convolution of images of that size.
int pieces_of_second_run(int size) {
  constexpr int kChannels = 64;
  const std::unique_ptr<ncnn::Layer> layer(op::deform_conv::make_ncnn_layer(nullptr));
  ncnn::ParamDict params;
  params.set(4, list_of({1, 1, 1, 1}));  // pads
  const std::vector<std::vector<int>> shapes = {
      {1, kChannels, size, size}, {kChannels, kChannels, 3, 3}, {1, 18, size, size}};
  std::vector<ncnn::Mat> bottoms;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::vector<int>& shape = shapes[i];
    bottoms.emplace_back(shape[0] * shape[1] * shape[2] * shape[3]);
    bottoms.back().fill(0.5F);
    params.set(kFirstShape + static_cast<int>(i),
               list_of({4, shape[0], shape[1], shape[2], shape[3]}));
  }
  params.set(kFirstShape + 3, list_of({-1}));
  params.set(kFirstShape + 4, list_of({-1}));
  ncnn::PoolAllocator blobs;
  ncnn::PoolAllocator workspace;
  ncnn::Option option = ncnn::Option();
  option.num_threads = 1;
  option.blob_allocator = &blobs;
  option.workspace_allocator = &workspace;
  REQUIRE(layer->load_param(params) == 0);
  REQUIRE(layer->create_pipeline(option) == 0);
  int before = 0;
  for (int run = 0; run < 2; ++run) {
    std::vector<ncnn::Mat> tops(1);
    before = taken;
    REQUIRE(layer->forward(bottoms, tops, option) == 0);
  }
  const int pieces = taken - before;
  layer->destroy_pipeline(option);
  return pieces;
}

#endif

}  // namespace

TEST_CASE("a kernel that throws on any of its threads fails, and the next one has all threads") {
  for (int round = 0; round < 4; ++round) {
    for (const int threads : {1, 2, 4}) {
      ncnn::ParamDict params;
      params.set(0, round);
      CHECK(run_layer<Throws>(kThrows, params, threads) == -1);
      CHECK(std::string(take_complaint()) == op::kThrew);
      CHECK(threads_of(threads).size() == static_cast<std::size_t>(threads));
    }
  }
}

TEST_CASE("as many threads as were asked for do an operator's rounds") {
  CHECK(threads_of(1).size() == 1);
  CHECK(threads_of(2).size() == 2);
}

#if defined(__SANITIZE_ADDRESS__)

TEST_CASE("a convolution of many products takes as few pieces of memory as one of a single one") {
  REQUIRE(__sanitizer_install_malloc_and_free_hooks(note_taken, note_freed) != 0);
  const int few = pieces_of_second_run(8);
  CHECK(few > 0);
  CHECK(pieces_of_second_run(40) <= few);
}

#endif
