#include "workers/ncnn/operator.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "operators/guarded_rounds.h"
#include "workers/ncnn/fork_join.h"

#define DX_OPERATOR(name)              \
  namespace dx::op::name {             \
  ncnn::Layer* make_ncnn_layer(void*); \
  }
#include "ncnn_operators.inc"
#undef DX_OPERATOR

namespace dx {
namespace {

constexpr char kPrefix[] = "dx.";
constexpr int kFirstShape = 20;
constexpr std::size_t kMostInputs = 10;
constexpr std::size_t kMostAxes = 16;
constexpr std::size_t kNcnnAxes = 4;
constexpr int kNoMemory = -100;
// The kinds of values that a parameter may have (ParamDict::type).
constexpr int kAbsent = 0;
constexpr int kFloatKind = 3;
constexpr int kFloatsKind = 6;

thread_local const char* last_complaint = nullptr;

struct Row {
  const char* type;
  ncnn::layer_creator_func make;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
#define DX_OPERATOR(name) {"dx." #name, op::name::make_ncnn_layer},
#include "ncnn_operators.inc"
#undef DX_OPERATOR
  };
  return all;
}

std::vector<double> values_of(const ncnn::ParamDict& params, int id, op::AttributeKind kind) {
  const int type = params.type(id);
  if (kind == op::AttributeKind::kInteger || kind == op::AttributeKind::kChoice) {
    return {static_cast<double>(params.get(id, 0))};
  }
  if (kind == op::AttributeKind::kNumber) {
    return {type == kFloatKind ? static_cast<double>(params.get(id, 0.0F))
                               : static_cast<double>(params.get(id, 0))};
  }
  const ncnn::Mat list = params.get(id, ncnn::Mat());
  std::vector<double> values;
  for (int i = 0; i < list.w; ++i) {
    values.push_back(type == kFloatsKind ? static_cast<double>(list.row(0)[i])
                                         : static_cast<double>(list.row<int>(0)[i]));
  }
  return values;
}

std::int64_t count_of(const ncnn::Mat& mat) {
  return std::int64_t{mat.w} * mat.h * mat.d * mat.c * mat.elempack;
}

bool is_dense(const ncnn::Mat& mat) {
  return mat.dims < 3 || mat.cstep == static_cast<std::size_t>(mat.w) *
                                          static_cast<std::size_t>(mat.h) *
                                          static_cast<std::size_t>(mat.d);
}

// As blobs count a tensor's elements (natural_dims in runtimes/ncnn/native/axes.py).
op::Shape blob_dims(const op::Shape& shape) {
  op::Shape dims(shape.size() > 1 && shape[0] == 1 ? shape.begin() + 1 : shape.begin(),
                 shape.end());
  if (dims.size() > kNcnnAxes) {
    op::Shape large;
    for (const std::int64_t size : dims) {
      if (size != 1) large.push_back(size);
    }
    dims = large;
  }
  while (dims.size() > kNcnnAxes) {
    dims[1] *= dims[0];
    dims.erase(dims.begin());
  }
  return dims.empty() ? op::Shape{1} : dims;
}

bool create(ncnn::Mat& mat, const op::Shape& shape, ncnn::Allocator* allocator) {
  const op::Shape dims = blob_dims(shape);
  for (const std::int64_t size : dims) {
    if (size < 1 || size > INT32_MAX) return false;
  }
  const auto at = [&dims](std::size_t from_last) {
    return static_cast<int>(dims[dims.size() - 1 - from_last]);
  };
  constexpr std::size_t kBytes = sizeof(float);
  if (dims.size() == 1) mat.create(at(0), kBytes, allocator);
  if (dims.size() == 2) mat.create(at(0), at(1), kBytes, allocator);
  if (dims.size() == 3) mat.create(at(0), at(1), at(2), kBytes, allocator);
  if (dims.size() == 4) mat.create(at(0), at(1), at(2), at(3), kBytes, allocator);
  return !mat.empty();
}

// Copies between a blob and the same elements without gaps between its channels.
template <class Mat, class Copy>
void each_channel(Mat& mat, const Copy& copy) {
  const std::size_t floats = static_cast<std::size_t>(mat.w) * static_cast<std::size_t>(mat.h) *
                             static_cast<std::size_t>(mat.d);
  for (int c = 0; c < mat.c; ++c) {
    copy(mat.channel(c), static_cast<std::size_t>(c) * floats, floats * sizeof(float));
  }
}

class NcnnCall : public op::Call {
 public:
  NcnnCall(const ncnn::Option& option, const ncnn::Layer* product, std::vector<ncnn::Mat>& tops)
      : option_(option), product_(product), tops_(tops), given_(tops.size()) {}

  // What keeps the bottoms from being the inputs of those shapes; nullptr if nothing does.
  const char* take(const std::vector<ncnn::Mat>& bottoms, const std::vector<op::Shape>& shapes,
                   const std::vector<int>& places) {
    places_ = &places;
    for (std::size_t i = 0; i < places.size(); ++i) {
      op::Tensor tensor;
      tensor.shape = shapes[i];
      if (places[i] >= 0) {
        const ncnn::Mat& mat = bottoms[static_cast<std::size_t>(places[i])];
        if (mat.elembits() != 32 || mat.elempack != 1) return "ncnn gave it no floats";
        if (count_of(mat) != op::elements(shapes[i])) return "an input has another size";
        tensor.data = dense(mat);
        if (tensor.data == nullptr) return op::kNoMemory;
      }
      inputs_.push_back(std::move(tensor));
    }
    return nullptr;
  }

  bool has(std::size_t input) const override {
    return input < places_->size() && (*places_)[input] >= 0;
  }
  const op::Tensor& input(std::size_t place) const override { return inputs_[place]; }
  int threads() const override { return option_.num_threads < 1 ? 1 : option_.num_threads; }

  float* output(std::size_t place, const op::Shape& shape) override {
    if (place >= tops_.size() || !create(tops_[place], shape, option_.blob_allocator)) {
      return nullptr;
    }
    if (is_dense(tops_[place])) return tops_[place];
    given_[place] = scratch(static_cast<std::size_t>(op::elements(shape)));
    return given_[place];
  }

  float* scratch(std::size_t floats) override {
    if (floats < 1 || floats > INT32_MAX) return nullptr;
    ncnn::Mat mat;
    mat.create(static_cast<int>(floats), sizeof(float), option_.workspace_allocator);
    if (mat.empty()) return nullptr;
    scratches_.push_back(mat);
    return mat;
  }

  bool multiply(const float* a, const float* b, float* result, std::int64_t m, std::int64_t n,
                std::int64_t k) override {
    const auto matrix = [this](const float* data, std::int64_t rows, std::int64_t columns) {
      return ncnn::Mat(static_cast<int>(columns), static_cast<int>(rows), const_cast<float*>(data),
                       sizeof(float), option_.blob_allocator);
    };
    factors_.resize(2);
    factors_[0] = matrix(a, m, k);
    factors_[1] = matrix(b, k, n);
    // A blob that has the size already is written as it is.
    made_.resize(1);
    made_[0] = matrix(result, m, n);
    if (product_->forward(factors_, made_, plain(option_)) != 0 || made_[0].empty()) return false;
    const float* const written = made_[0];
    if (written != result) {
      std::memcpy(result, written, static_cast<std::size_t>(m * n) * sizeof(float));
    }
    return true;
  }

  // Lays what was written beside an output into its blob; false where an output was not written.
  bool finish() {
    for (std::size_t i = 0; i < tops_.size(); ++i) {
      if (tops_[i].empty()) return false;
      if (given_[i] == nullptr) continue;
      const float* const from = given_[i];
      each_channel(tops_[i], [from](ncnn::Mat channel, std::size_t at, std::size_t bytes) {
        std::memcpy(channel.data, from + at, bytes);
      });
    }
    return true;
  }

  // Without half floats and packed channels, in which a kernel does not compute.
  static ncnn::Option plain(ncnn::Option option) {
    option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = false;
    option.use_bf16_packed = option.use_bf16_storage = false;
    option.use_packing_layout = false;
    return option;
  }

 protected:
  void loop(std::int64_t count, Body body, void* context) override {
    const int threads = count < this->threads() ? static_cast<int>(count) : this->threads();
    if (threads <= 1) {
      for (std::int64_t i = 0; i < count; ++i) body(context, i, 0);
      return;
    }
    struct Shared {
      std::int64_t count;
      op::GuardedRounds rounds;
    } shared{count, {body, context}};
    ForkJoin::instance().run(
        threads,
        [](void* loop, int thread) {
          auto& all = *static_cast<Shared*>(loop);
          const std::int64_t team = ForkJoin::team_size();
          const std::int64_t begin = all.count * thread / team;
          const std::int64_t end = all.count * (thread + 1) / team;
          for (std::int64_t i = begin; i < end; ++i) all.rounds.run(i, thread);
        },
        &shared);
    shared.rounds.finish();
  }

 private:
  const float* dense(const ncnn::Mat& mat) {
    if (is_dense(mat)) return mat;
    float* const to = scratch(static_cast<std::size_t>(count_of(mat)));
    if (to == nullptr) return nullptr;
    each_channel(mat, [to](const ncnn::Mat channel, std::size_t at, std::size_t bytes) {
      std::memcpy(to + at, channel.data, bytes);
    });
    return to;
  }

  const ncnn::Option& option_;
  const ncnn::Layer* product_;
  std::vector<ncnn::Mat>& tops_;
  std::vector<float*> given_;
  const std::vector<int>* places_ = nullptr;
  std::vector<op::Tensor> inputs_;
  std::vector<ncnn::Mat> scratches_;
  // Of products, kept from one to the next.
  std::vector<ncnn::Mat> factors_;
  std::vector<ncnn::Mat> made_;
};

}  // namespace

NcnnOperator::NcnnOperator(const op::OperatorFacts& facts) : facts_(facts) {
  one_blob_only = false;
  support_inplace = false;
}

int NcnnOperator::load_param(const ncnn::ParamDict& params) {
  op::Attributes attributes(facts_);
  for (std::size_t i = 0; i < facts_.attribute_count; ++i) {
    const int id = static_cast<int>(i);
    if (params.type(id) == kAbsent) continue;
    attributes.set(i, values_of(params, id, facts_.attributes[i].kind));
  }
  shapes_.assign(facts_.input_count, {});
  places_.assign(facts_.input_count, -1);
  int place = 0;
  for (std::size_t i = 0; i < facts_.input_count && i < kMostInputs; ++i) {
    const int id = kFirstShape + static_cast<int>(i);
    if (params.type(id) == kAbsent) continue;
    const std::vector<double> values = values_of(params, id, op::AttributeKind::kIntegers);
    if (values.empty() || values.size() > kMostAxes) return -1;
    if (values[0] < 0) continue;
    places_[i] = place++;
    for (std::size_t axis = 1; axis < values.size(); ++axis) {
      if (values[axis] < 1) return -1;
      shapes_[i].push_back(static_cast<std::int64_t>(values[axis]));
    }
  }
  for (std::size_t i = 0; i < facts_.input_count; ++i) {
    if (places_[i] < 0 && !facts_.inputs[i].optional) return -1;
  }
  try {
    make(attributes);
  } catch (...) {  // as in forward()
    std::fprintf(stderr, "layer '%s' (%s): %s\n", name.c_str(), type.c_str(), op::kThrew);
    return -1;
  }
  return 0;
}

int NcnnOperator::create_pipeline(const ncnn::Option& option) {
  product_.reset(ncnn::create_layer_cpu("Gemm"));
  if (product_ == nullptr) return 0;
  ncnn::ParamDict params;
  if (product_->load_param(params) != 0) return -1;
  return product_->create_pipeline(NcnnCall::plain(option));
}

int NcnnOperator::destroy_pipeline(const ncnn::Option& option) {
  return product_ == nullptr ? 0 : product_->destroy_pipeline(NcnnCall::plain(option));
}

int NcnnOperator::forward(const std::vector<ncnn::Mat>& inputs, std::vector<ncnn::Mat>& outputs,
                          const ncnn::Option& option) const {
  const char* complaint = nullptr;
  try {
    std::size_t wanted = 0;
    for (const int place : places_) wanted += place >= 0 ? 1 : 0;
    if (wanted != inputs.size() || outputs.size() != facts_.output_count) {
      complaint = "its line in the .param has another number of inputs or outputs";
    } else {
      NcnnCall call(option, product_.get(), outputs);
      complaint = call.take(inputs, shapes_, places_);
      if (complaint == nullptr) complaint = run(call);
      if (complaint == nullptr && !call.finish()) complaint = op::kNoMemory;
    }
  } catch (const std::bad_alloc&) {
    complaint = op::kNoMemory;
  } catch (...) {  // whatever a user's kernel throws
    complaint = op::kThrew;
  }
  if (complaint == nullptr) return 0;
  last_complaint = complaint;
  std::fprintf(stderr, "layer '%s' (%s): %s\n", name.c_str(), type.c_str(), complaint);
  return std::strcmp(complaint, op::kNoMemory) == 0 ? kNoMemory : -1;
}

bool is_operator_type(const std::string& type) { return type.rfind(kPrefix, 0) == 0; }

bool knows_layer_type(const std::string& type) {
  if (ncnn::layer_to_index(type.c_str()) >= 0) return true;
  for (const Row& row : rows()) {
    if (type == row.type) return true;
  }
  return false;
}

const char* take_complaint() {
  const char* const complaint = last_complaint;
  last_complaint = nullptr;
  return complaint;
}

void register_operators(ncnn::Net& net) {
  for (const Row& row : rows()) (void)net.register_custom_layer(row.type, row.make);
}

}  // namespace dx
