#include "common/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace dx {

double percentile(const std::vector<std::int64_t>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const auto low = static_cast<double>(sorted[below]);
  const auto high = static_cast<double>(sorted[above]);
  return low + (high - low) * (position - static_cast<double>(below));
}

std::optional<Statistics> summarize(std::vector<std::int64_t> samples) {
  if (samples.empty()) return std::nullopt;
  std::sort(samples.begin(), samples.end());
  const auto count = static_cast<double>(samples.size());

  // Two passes: the sum of squares alone loses its digits where the spread is small.
  double sum = 0;
  for (const std::int64_t sample : samples) sum += static_cast<double>(sample);
  const double mean = sum / count;
  double squares = 0;
  for (const std::int64_t sample : samples) {
    const double distance = static_cast<double>(sample) - mean;
    squares += distance * distance;
  }

  Statistics result;
  result.min = static_cast<double>(samples.front());
  result.mean = mean;
  result.stdev = samples.size() < 2 ? 0 : std::sqrt(squares / (count - 1));
  result.p50 = percentile(samples, 0.50);
  result.p90 = percentile(samples, 0.90);
  result.p99 = percentile(samples, 0.99);
  return result;
}

}  // namespace dx
