// Statistics of samples, as pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace dx {

// In the samples' own unit. `stdev` is that of a sample (divisor n - 1), 0 for a single one.
struct Statistics {
  double min = 0;
  double mean = 0;
  double stdev = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
};

// The value below which the fraction `q` of `sorted` lies, interpolated linearly between the two
// closest ranks (position q * (n - 1)), as numpy.percentile does by default.
// REQUIRES: `sorted` is ascending and not empty, 0 <= q <= 1.
double percentile(const std::vector<std::int64_t>& sorted, double q);

// Empty where there are no samples.
std::optional<Statistics> summarize(std::vector<std::int64_t> samples);

}  // namespace dx
