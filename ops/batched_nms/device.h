// Non-maximum suppression with a fixed number of results on a GPU, for each kind of box.
#pragma once

#include <algorithm>
#include <cstdint>

#include "batched_nms/kernel.cu"
#include "operators/device_call.h"

namespace dx::op::batched_nms {

template <Kind kind>
class KindOfKernel {
 public:
  explicit KindOfKernel(const Attributes& attributes)
      : best_(attributes.integer("topk")),
        rows_(std::max<std::int64_t>(attributes.integer("keep_topk"), 0)),
        classes_(attributes.integer("num_classes")),
        background_(attributes.integer("background_label_id")),
        most_shared_(attributes.number("iou_threshold")),
        least_score_(attributes.number("score_threshold")),
        clips_(attributes.integer("clip_boxes") != 0) {}

  template <class Shapes>
  void shapes(Shapes& s) const {
    const auto rows = s.constant(rows_);
    s.output(0, {s.input(0, 0), rows, s.constant(kNumbers + 1)});
    s.output(1, {s.input(0, 0), rows});
    s.output(2, {s.input(0, 0), rows});
  }

  const char* run(DeviceCall& call) const {
    Sizes s = {};
    if (const char* const complaint = measure(call, s)) return complaint;
    const std::int64_t lists = std::int64_t{s.images} * s.classes;
    const std::int64_t candidates = lists * s.best;
    float* const order = call.scratch(static_cast<std::size_t>(candidates));
    float* const chosen = call.scratch(static_cast<std::size_t>(candidates));
    float* const gone = call.scratch(static_cast<std::size_t>(candidates));
    if (order == nullptr || chosen == nullptr || gone == nullptr) return kNoMemory;
    const float* const boxes = call.input(0).data;
    const float* const scores = call.input(1).data;
    const std::int64_t rows = std::int64_t{s.images} * s.rows;
    fill(call, order, -1.0F, candidates);
    fill(call, gone, 0.0F, candidates);
    fill(call, call.output(0), 0.0F, rows * (s.numbers + 1));
    fill(call, call.output(1), -1.0F, rows);
    fill(call, call.output(2), -1.0F, rows);
    call.launch(batched_nms_rank_kernel{},
                {s, scores, least_score_, static_cast<int>(background_), order}, lists * s.boxes);
    for (int begin = 0; begin < s.best; begin += kAtOnce) {
      const int end = std::min(begin + kAtOnce, s.best);
      const Settle part = {s, boxes, scores, order, most_shared_, gone, chosen, begin, end};
      call.launch(batched_nms_settle_kernel{}, part, lists);
      call.launch(batched_nms_spread_kernel{}, part, lists * (s.best - end));
    }
    call.launch(batched_nms_give_kernel{},
                {s, boxes, order, chosen, clips_, call.output(0), call.output(1), call.output(2)},
                candidates);
    return nullptr;
  }

 private:
  static constexpr int kNumbers = kind == kCorners ? 4 : 5;
  // Numbers of boxes are floats on their way.
  static constexpr std::int64_t kMost = std::int64_t{1} << 24;

  static void fill(DeviceCall& call, float* to, float value, std::int64_t count) {
    call.launch(batched_nms_fill_kernel{}, {to, value}, count);
  }

  // Boxes are images, boxes, sets, numbers; the sets may be missing. Scores are images, boxes,
  // classes, with an axis of 1 before the last where the model has one.
  const char* measure(const DeviceCall& call, Sizes& s) const {
    const Shape& boxes = call.input(0).shape;
    const Shape& scores = call.input(1).shape;
    if (boxes.size() < 3 || boxes.size() > 4 || boxes.back() != kNumbers) {
      return "its boxes are not as many numbers as its kind has";
    }
    if (scores.size() < 3 || scores.size() > 4 || (scores.size() == 4 && scores[2] != 1)) {
      return "its scores are not those of boxes and classes";
    }
    const std::int64_t classes = scores.back();
    const std::int64_t sets = boxes.size() == 4 ? boxes[2] : 1;
    if (boxes[0] != scores[0] || boxes[1] != scores[1] || (sets != 1 && sets != classes)) {
      return "its boxes and scores do not fit each other";
    }
    if (classes_ > 0 && classes != classes_) return "its num_classes are not those of its scores";
    if (scores[0] * scores[1] * classes > kMost || rows_ > kMost) return kTooManyIndices;
    const std::int64_t best = best_ > 0 ? std::min(best_, boxes[1]) : boxes[1];
    s = {static_cast<int>(boxes[0]),
         static_cast<int>(boxes[1]),
         static_cast<int>(classes),
         static_cast<int>(sets),
         kNumbers,
         static_cast<int>(best),
         static_cast<int>(rows_),
         kind};
    return nullptr;
  }

  std::int64_t best_;
  std::int64_t rows_;
  std::int64_t classes_;
  std::int64_t background_;
  float most_shared_;
  float least_score_;
  bool clips_;
};

using DeviceKernel = KindOfKernel<kCorners>;

}  // namespace dx::op::batched_nms
