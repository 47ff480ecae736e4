#include "common/statistics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

using namespace dx;

namespace {

constexpr double kClose = 1e-12;

std::vector<std::int64_t> one_to(std::int64_t last, std::int64_t offset = 0) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(last));
  std::iota(samples.begin(), samples.end(), offset + 1);
  return samples;
}

}  // namespace

TEST_CASE("no samples have no statistics") { CHECK_FALSE(summarize({})); }

TEST_CASE("one sample is all of its own statistics") {
  const Statistics found = summarize({42}).value();
  CHECK(found.min == 42);
  CHECK(found.mean == 42);
  CHECK(found.stdev == 0);
  CHECK(found.p50 == 42);
  CHECK(found.p99 == 42);
}

TEST_CASE("1 to n has mean (n+1)/2, variance n(n+1)/12 and percentile 1 + q(n-1)") {
  for (const std::int64_t n : {2, 3, 10, 100, 1001}) {
    const Statistics found = summarize(one_to(n)).value();
    const auto size = static_cast<double>(n);
    CHECK(found.min == 1);
    CHECK(found.mean == doctest::Approx((size + 1) / 2).epsilon(kClose));
    CHECK(found.stdev == doctest::Approx(std::sqrt(size * (size + 1) / 12)).epsilon(kClose));
    CHECK(found.p50 == doctest::Approx(1 + 0.50 * (size - 1)).epsilon(kClose));
    CHECK(found.p90 == doctest::Approx(1 + 0.90 * (size - 1)).epsilon(kClose));
    CHECK(found.p99 == doctest::Approx(1 + 0.99 * (size - 1)).epsilon(kClose));
  }
}

TEST_CASE("the order of the samples does not matter") {
  std::vector<std::int64_t> samples = one_to(100);
  std::reverse(samples.begin(), samples.end());
  CHECK(summarize(samples)->p90 == doctest::Approx(90.1).epsilon(kClose));
}

TEST_CASE("two values in equal parts have half their distance around the mean") {
  const Statistics found = summarize({10, 20, 10, 20}).value();
  CHECK(found.mean == 15);
  CHECK(found.stdev == doctest::Approx(5 * std::sqrt(4.0 / 3.0)).epsilon(kClose));
}

TEST_CASE("a small spread on a large offset keeps its digits") {
  const std::int64_t hour_ns = 3600LL * 1000 * 1000 * 1000;
  const Statistics found = summarize(one_to(1001, hour_ns)).value();
  CHECK(found.stdev == doctest::Approx(std::sqrt(1001.0 * 1002.0 / 12)).epsilon(1e-9));
}

TEST_CASE("percentiles of the ends are the ends") {
  CHECK(percentile({1, 5, 9}, 0) == 1);
  CHECK(percentile({1, 5, 9}, 1) == 9);
  CHECK(percentile({1, 5, 9}, 0.25) == 3);
}
