// Boxes that no better one of their image and class overlaps, the best of all classes first, and as
// many rows of them as are asked for. Each step is a kernel; none of them sorts: a box's place is
// the number of those before it.
#pragma once

#include "operators/device.h"
#include "operators/turned_boxes.cu"

namespace dx::op::batched_nms {

// What a box's numbers are.
enum Kind {
  kCorners,        // left, top, right, bottom
  kTurned,         // centre, width, height, angle
  kTurnedCorners,  // left, top, right, bottom before it is turned, angle
};

struct Sizes {
  int images, boxes, classes;
  int sets;  // of boxes: one for all classes, or one each
  int numbers;
  int best;  // of a class go on
  int rows;  // of an image come out
  Kind kind;
};

// What is not chosen is before nothing.
constexpr float kNever = -3.0e38F;

DX_DEVICE inline const float* box_at(const Sizes& s, const float* boxes, int image, int label,
                                     int box) {
  const int set = s.sets == 1 ? 0 : label;
  return boxes + ((static_cast<long long>(image) * s.boxes + box) * s.sets + set) * s.numbers;
}

struct Fill {
  float* to;
  float value;
};

DX_KERNEL(batched_nms_fill, Fill) { p.to[index] = p.value; }

struct Rank {
  Sizes sizes;
  const float* scores;  // images, boxes, classes
  float least;
  int background;  // a class that is none
  float* order;    // images, classes, best: the numbers of boxes, -1 behind the last
};

// For each box and class: its place among those of its class.
DX_KERNEL(batched_nms_rank, Rank) {
  const Sizes& s = p.sizes;
  const int label = index % s.classes;
  const int box = index / s.classes % s.boxes;
  const int image = index / s.classes / s.boxes;
  const float score = p.scores[index];
  if (!(score > p.least) || label == p.background) return;
  const float* const of_class =
      p.scores + static_cast<long long>(image) * s.boxes * s.classes + label;
  int place = 0;
  for (int other = 0; other < s.boxes && place < s.best; ++other) {
    const float theirs = of_class[static_cast<long long>(other) * s.classes];
    if (theirs > score || (theirs == score && other < box)) ++place;
  }
  if (place >= s.best) return;
  const long long row = static_cast<long long>(image) * s.classes + label;
  p.order[row * s.best + place] = static_cast<float>(box);
}

DX_DEVICE inline float shared_part(Kind kind, const float* a, const float* b) {
  if (kind == kCorners) {
    const float width = least(a[2], b[2]) - most(a[0], b[0]);
    const float height = least(a[3], b[3]) - most(a[1], b[1]);
    if (!(width > 0 && height > 0)) return 0;
    const float common = width * height;
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common);
  }
  if (kind == kTurned) {
    return turned_boxes::shared_part({a[0], a[1], a[2], a[3], a[4]},
                                     {b[0], b[1], b[2], b[3], b[4]});
  }
  return turned_boxes::shared_part(
      {(a[0] + a[2]) / 2, (a[1] + a[3]) / 2, a[2] - a[0], a[3] - a[1], a[4]},
      {(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1], b[4]});
}

// So many boxes of a class are settled at once, then those behind them are held against these.
constexpr int kAtOnce = 32;

struct Settle {
  Sizes sizes;
  const float* boxes;
  const float* scores;
  const float* order;
  float most_shared;
  float* gone;    // images, classes, best: not 0 where a better one overlaps it
  float* chosen;  // images, classes, best: scores, kNever for those that are not
  int begin, end;
};

// One class of an image, and its boxes in order.
struct List {
  const float* order;
  float* gone;
  float* chosen;
  int image, label;
};

DX_DEVICE inline List list_of(const Settle& p, int index) {
  const long long at = static_cast<long long>(index) * p.sizes.best;
  return {p.order + at, p.gone + at, p.chosen + at, index / p.sizes.classes,
          index % p.sizes.classes};
}

DX_DEVICE inline const float* box_of(const Settle& p, const List& list, int place) {
  return box_at(p.sizes, p.boxes, list.image, list.label, static_cast<int>(list.order[place]));
}

DX_DEVICE inline bool overlap(const Settle& p, const List& list, int better, int place) {
  return shared_part(p.sizes.kind, box_of(p, list, better), box_of(p, list, place)) > p.most_shared;
}

// For each class of an image: from the best on, those between begin and end.
DX_KERNEL(batched_nms_settle, Settle) {
  const List list = list_of(p, index);
  for (int place = p.begin; place < p.end; ++place) {
    list.chosen[place] = kNever;
    if (list.order[place] < 0 || list.gone[place] != 0) continue;
    const long long box =
        static_cast<long long>(list.image) * p.sizes.boxes + static_cast<int>(list.order[place]);
    list.chosen[place] = p.scores[box * p.sizes.classes + list.label];
    for (int other = place + 1; other < p.end && list.order[other] >= 0; ++other) {
      if (list.gone[other] == 0 && overlap(p, list, place, other)) list.gone[other] = 1;
    }
  }
}

// For each box from end on: whether one that was chosen before it overlaps it.
DX_KERNEL(batched_nms_spread, Settle) {
  const int rest = p.sizes.best - p.end;
  const List list = list_of(p, index / rest);
  const int place = p.end + index % rest;
  if (list.order[place] < 0 || list.gone[place] != 0) return;
  for (int better = p.begin; better < p.end; ++better) {
    if (list.chosen[better] != kNever && overlap(p, list, better, place)) {
      list.gone[place] = 1;
      return;
    }
  }
}

struct Give {
  Sizes sizes;
  const float* boxes;
  const float* order;
  const float* chosen;
  bool clips;
  float* found;   // images, rows, numbers and score
  float* labels;  // images, rows
  float* places;  // images, rows
};

// For each box of each class: its place among all of the image.
DX_KERNEL(batched_nms_give, Give) {
  const Sizes& s = p.sizes;
  const float score = p.chosen[index];
  if (score == kNever) return;
  const int all = s.classes * s.best;
  const int image = index / all;
  const int own = index % all;
  const float* const chosen = p.chosen + static_cast<long long>(image) * all;
  int row = 0;
  for (int other = 0; other < all && row < s.rows; ++other) {
    if (chosen[other] > score || (chosen[other] == score && other < own)) ++row;
  }
  if (row >= s.rows) return;
  const int label = own / s.best;
  const int box = static_cast<int>(p.order[index]);
  const float* const from = box_at(s, p.boxes, image, label, box);
  const long long at = static_cast<long long>(image) * s.rows + row;
  float* const to = p.found + at * (s.numbers + 1);
  for (int i = 0; i < s.numbers; ++i) {
    to[i] = p.clips ? most(least(from[i], 1.0F), 0.0F) : from[i];
  }
  to[s.numbers] = score;
  p.labels[at] = static_cast<float>(label);
  p.places[at] = static_cast<float>(s.sets == 1 ? box : label * s.boxes + box);
}

}  // namespace dx::op::batched_nms
