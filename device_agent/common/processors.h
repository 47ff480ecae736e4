// How much of a computer's processors this process may use, and how long it waited for them.
// `root` is "" but for tests, whose folder holds proc/ and sys/ of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dx {

// The processors that the calling thread may run on (its affinity, which cpusets narrow too);
// empty where the system does not say.
std::vector<int> allowed_processors();

// How many physical cores these processors belong to: hardware threads of one core share what
// computes. Each is one of its own where the system does not tell.
int count_physical_cores(const std::vector<int>& processors, const std::string& root = "");

// How many processors' worth of time the tightest of this process's control groups grants, e.g.
// 1.5; nothing where none limits it.
std::optional<double> processor_quota(const std::string& root = "");

// How many of `count` can run all the time under a quota: at least one.
int within_quota(int count, std::optional<double> quota);

// The physical cores that are free to the calling thread, by affinity and quota: as many threads
// compute without getting into each other's way.
int free_cores(const std::string& root = "");

// Nanoseconds that the threads of this process, those that live, were ready to run and had to
// wait for a processor; nothing where the kernel does not count them.
std::optional<std::int64_t> waited_ns(const std::string& root = "");

// Nanoseconds that control groups of this process were held back by their quota since they were
// made; nothing where none has such a count.
std::optional<std::int64_t> throttled_ns(const std::string& root = "");

}  // namespace dx
