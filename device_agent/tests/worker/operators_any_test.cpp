// Every operator of our own in ncnn, with whatever attributes, shapes and values a file may hold:
// under sanitizers, so that a kernel that reads what is not there is found.
#include <doctest/doctest.h>
#include <layer.h>
#include <paramdict.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "workers/ncnn/operator.h"

#define DX_OPERATOR(name)              \
  namespace dx::op::name {             \
  ncnn::Layer* make_ncnn_layer(void*); \
  }
#include "ncnn_operators.inc"
#undef DX_OPERATOR

using namespace dx;

namespace {

constexpr int kDraws = 300;
constexpr int kFirstShape = 20;

struct Row {
  const char* name;
  ncnn::Layer* (*make)(void*);
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
#define DX_OPERATOR(name) {#name, op::name::make_ncnn_layer},
#include "ncnn_operators.inc"
#undef DX_OPERATOR
  };
  return all;
}

class Draw {
 public:
  explicit Draw(unsigned seed) : engine_(seed) {}

  int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  bool seldom() { return whole(0, 3) == 0; }

  // Mostly what an index, a place or a share may be; now and then what no value is.
  float value() {
    constexpr float kOdd[] = {1e30F, -1e30F, 16777216.0F, -16777216.0F, 0.49999997F};
    switch (whole(0, 7)) {
      case 0:
        return kOdd[whole(0, 4)];
      case 1:
        return whole(0, 1) == 0 ? std::numeric_limits<float>::quiet_NaN()
                                : std::numeric_limits<float>::infinity();
      case 2:
      case 3:
        return std::normal_distribution<float>()(engine_);
      default:
        return static_cast<float>(whole(-1, 3));
    }
  }

  op::Shape shape() {
    op::Shape found(static_cast<std::size_t>(whole(0, 4)));
    for (std::int64_t& size : found) size = whole(1, 4);
    return found;
  }

 private:
  std::mt19937 engine_;
};

ncnn::Mat list_of(const std::vector<int>& values) {
  ncnn::Mat mat(static_cast<int>(values.size()));
  for (int i = 0; i < mat.w; ++i) mat.row<int>(0)[i] = values[static_cast<std::size_t>(i)];
  return mat;
}

void draw_attribute(Draw& draw, const op::AttributeFact& fact, int id, ncnn::ParamDict& params) {
  std::vector<int> list(static_cast<std::size_t>(draw.seldom() ? draw.whole(1, 8) : 2));
  switch (fact.kind) {
    case op::AttributeKind::kInteger:
      return params.set(id, draw.seldom() ? draw.whole(-9, 9) : draw.whole(0, 3));
    case op::AttributeKind::kChoice:
      return params.set(id, draw.whole(-1, 4));
    case op::AttributeKind::kNumber:
      return params.set(id, draw.value());
    default:
      for (int& each : list) each = draw.seldom() ? draw.whole(-3, 9) : draw.whole(0, 2);
      return params.set(id, list_of(list));
  }
}

// Shapes that fit each other, of operators that take few others; what they read depends on values.
struct Fitting {
  const char* name;
  std::vector<op::Shape> shapes;
};

const std::vector<Fitting>& fitting() {
  static const std::vector<Fitting> all = {
      {"deform_conv", {{1, 2, 5, 5}, {3, 2, 3, 3}, {1, 18, 3, 3}, {3}, {1, 9, 3, 3}}},
      {"gather_nd", {{3, 2, 4}, {5, 2}}},
      {"grid_sample", {{1, 2, 4, 3}, {1, 3, 2, 2}}},
      {"grid_sampler", {{1, 2, 4, 3}, {1, 3, 2, 2}}},
      {"lp_pool", {{1, 2, 5, 5}}},
      {"mmcv_deform_conv2d", {{1, 2, 5, 5}, {1, 18, 3, 3}, {3, 2, 3, 3}}},
      {"mmcv_modulated_deform_conv2d",
       {{1, 2, 5, 5}, {1, 18, 3, 3}, {1, 9, 3, 3}, {3, 2, 3, 3}, {3}}},
      {"multi_scale_deformable_attention",
       {{1, 2, 2, 3}, {1, 2}, {1}, {1, 3, 2, 1, 2, 2}, {1, 3, 2, 1, 2}}},
      {"non_max_suppression", {{1, 5, 4}, {1, 2, 5}, {1}, {1}, {1}}},
      {"roi_align", {{1, 2, 4, 4}, {1, 4}, {1}}},
      {"roi_align_rotated", {{1, 2, 4, 4}, {1, 6}}},
      {"scatter_nd", {{4, 3}, {2, 1}, {2, 3}}},
      {"top_k", {{2, 3}, {1}}},
  };
  return all;
}

// The shapes of the inputs: such that fit, or often alike, as most operators want them.
std::vector<op::Shape> draw_shapes(Draw& draw, const Row& row, std::size_t count) {
  for (const Fitting& each : fitting()) {
    if (std::string(each.name) == row.name && !draw.seldom()) return each.shapes;
  }
  const op::Shape alike = draw.shape();
  std::vector<op::Shape> shapes;
  for (std::size_t i = 0; i < count; ++i) {
    op::Shape shape = draw.whole(0, 2) == 0 ? draw.shape() : alike;
    if (!shape.empty() && draw.seldom()) shape.back() = draw.whole(1, 4);
    shapes.push_back(shape);
  }
  return shapes;
}

ncnn::Mat blob_of(Draw& draw, const op::Shape& shape) {
  ncnn::Mat mat(static_cast<int>(op::elements(shape)));
  for (int i = 0; i < mat.w; ++i) mat.row(0)[i] = draw.value();
  return mat;
}

// Whether the layer gave results of those inputs; all of them are read.
bool forward(const NcnnOperator& layer, const std::vector<ncnn::Mat>& bottoms, int threads) {
  ncnn::Option option = ncnn::Option();
  option.num_threads = threads;
  std::vector<ncnn::Mat> tops(layer.facts().output_count);
  if (layer.forward(bottoms, tops, option) != 0) {
    CHECK(take_complaint() != nullptr);
    return false;
  }
  volatile float read = 0;
  for (const ncnn::Mat& top : tops) {
    REQUIRE(!top.empty());
    for (int q = 0; q < top.c; ++q) {
      const ncnn::Mat channel = top.channel(q);
      for (int i = 0; i < channel.w * channel.h * channel.d; ++i) {
        read = static_cast<const float*>(channel.data)[i];
      }
    }
  }
  static_cast<void>(read);
  return true;
}

bool try_once(const Row& row, Draw& draw) {
  const std::unique_ptr<ncnn::Layer> made(row.make(nullptr));
  auto& layer = static_cast<NcnnOperator&>(*made);
  const op::OperatorFacts& facts = layer.facts();
  ncnn::ParamDict params;
  for (std::size_t i = 0; i < facts.attribute_count; ++i) {
    if (draw.whole(0, 2) != 0 && facts.attributes[i].count > 0) continue;
    draw_attribute(draw, facts.attributes[i], static_cast<int>(i), params);
  }
  const std::vector<op::Shape> shapes = draw_shapes(draw, row, facts.input_count);
  std::vector<ncnn::Mat> bottoms;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const bool is_left_out = facts.inputs[i].optional && draw.whole(0, 1) == 0;
    std::vector<int> told = {is_left_out ? -1 : static_cast<int>(shapes[i].size())};
    if (!is_left_out) {
      for (const std::int64_t size : shapes[i]) told.push_back(static_cast<int>(size));
      bottoms.push_back(blob_of(draw, shapes[i]));
    }
    params.set(kFirstShape + static_cast<int>(i), list_of(told));
  }
  const ncnn::Option option;
  if (layer.load_param(params) != 0 || layer.create_pipeline(option) != 0) return false;
  const bool ran = forward(layer, bottoms, draw.whole(1, 2));
  layer.destroy_pipeline(option);
  return ran;
}

}  // namespace

TEST_CASE("no attributes, shapes or values make an operator read what is not there") {
  REQUIRE(rows().size() >= 30);
  for (std::size_t place = 0; place < rows().size(); ++place) {
    INFO(rows()[place].name);
    Draw draw(static_cast<unsigned>(place + 1));
    int ran = 0;
    for (int i = 0; i < kDraws; ++i) ran += try_once(rows()[place], draw) ? 1 : 0;
    CHECK(ran > 0);
  }
}
