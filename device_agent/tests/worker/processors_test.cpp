#include "common/processors.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace {

// A folder that plays proc/ and sys/.
class FakeSystem {
 public:
  FakeSystem() {
    std::string name = std::filesystem::temp_directory_path() / "dx-processors-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  ~FakeSystem() { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = std::filesystem::path(root_) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

void write_topology(const FakeSystem& system, int cpu, const std::string& name,
                    const std::string& siblings) {
  system.write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + name,
               siblings + "\n");
}

// Version 2 as a container without a namespace of its own sees it: two levels, mounted whole.
void write_version_2(const FakeSystem& system, const std::string& outer, const std::string& inner) {
  system.write("proc/self/cgroup", "0::/team/job\n");
  system.write("proc/self/mountinfo",
               "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
  system.write("sys/fs/cgroup/team/cpu.max", outer + "\n");
  system.write("sys/fs/cgroup/team/job/cpu.max", inner + "\n");
}

// Version 1 with "cpu" and "cpuacct" in one hierarchy, of which a container sees its own part.
void write_version_1(const FakeSystem& system, const std::string& quota) {
  system.write("proc/self/cgroup",
               "5:cpuset:/\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n");
  system.write("proc/self/mountinfo",
               "40 32 0:31 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup "
               "rw,cpu,cpuacct\n41 32 0:32 / /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n");
  system.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", quota + "\n");
  system.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
}

}  // namespace

TEST_CASE("hardware threads of one core count once, under either name of the kernel's file") {
  const FakeSystem system;
  for (int cpu = 0; cpu < 8; ++cpu) {
    const int first = cpu % 4;
    write_topology(system, cpu, cpu < 4 ? "core_cpus_list" : "thread_siblings_list",
                   std::to_string(first) + "," + std::to_string(first + 4));
  }
  CHECK(dx::count_physical_cores({0, 1, 2, 3, 4, 5, 6, 7}, system.root()) == 4);
  CHECK(dx::count_physical_cores({0, 4}, system.root()) == 1);
  CHECK(dx::count_physical_cores({0, 1, 5}, system.root()) == 2);
  CHECK(dx::count_physical_cores({8, 9}, system.root()) == 2);  // nothing is told of these
  CHECK(dx::count_physical_cores({}, system.root()) == 0);
}

TEST_CASE("the tightest of the control groups above decides") {
  const FakeSystem system;
  CHECK_FALSE(dx::processor_quota(system.root()));  // no control groups at all

  write_version_2(system, "150000 100000", "max 100000");
  CHECK(dx::processor_quota(system.root()) == doctest::Approx(1.5));
  write_version_2(system, "150000 100000", "50000 100000");
  CHECK(dx::processor_quota(system.root()) == doctest::Approx(0.5));
  write_version_2(system, "max 100000", "max 100000");
  CHECK_FALSE(dx::processor_quota(system.root()));
  for (const std::string broken : {"", "max", "10 0", "-5 100", "x y", "1e5 100000"}) {
    CAPTURE(broken);
    write_version_2(system, "max 100000", broken);
    CHECK_FALSE(dx::processor_quota(system.root()));
  }
}

TEST_CASE("control groups of version 1 are found through the mount of their part") {
  const FakeSystem system;
  write_version_1(system, "250000");
  CHECK(dx::processor_quota(system.root()) == doctest::Approx(2.5));
  write_version_1(system, "-1");
  CHECK_FALSE(dx::processor_quota(system.root()));
}

TEST_CASE("a quota takes threads, but never the last one") {
  CHECK(dx::within_quota(4, std::nullopt) == 4);
  CHECK(dx::within_quota(4, 8.0) == 4);
  CHECK(dx::within_quota(4, 2.9) == 2);
  CHECK(dx::within_quota(4, 0.2) == 1);
  CHECK(dx::within_quota(0, std::nullopt) == 1);
}

TEST_CASE("the time that a group was held back is summed over those above") {
  const FakeSystem system;
  CHECK_FALSE(dx::throttled_ns(system.root()));
  write_version_2(system, "max 100000", "max 100000");
  CHECK_FALSE(dx::throttled_ns(system.root()));
  system.write("sys/fs/cgroup/team/cpu.stat", "usage_usec 9\nnr_throttled 2\nthrottled_usec 30\n");
  system.write("sys/fs/cgroup/team/job/cpu.stat", "usage_usec 9\nthrottled_usec 4\n");
  CHECK(dx::throttled_ns(system.root()) == 34000);

  const FakeSystem older;
  write_version_1(older, "100000");
  older.write("sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_throttled 2\nthrottled_time 77\n");
  CHECK(dx::throttled_ns(older.root()) == 77);
}

TEST_CASE("what threads waited is the sum of the second numbers") {
  const FakeSystem system;
  CHECK_FALSE(dx::waited_ns(system.root()));
  system.write("proc/self/task/10/schedstat", "5 100 2\n");
  system.write("proc/self/task/11/schedstat", "5 11 2\n");
  system.write("proc/self/task/12/schedstat", "no numbers here\n");
  CHECK(dx::waited_ns(system.root()) == 111);
}

TEST_CASE("a thread that may run on one processor has one core, whatever there is") {
  const std::vector<int> before = dx::allowed_processors();
  REQUIRE_FALSE(before.empty());
  CHECK(dx::free_cores() <= static_cast<int>(before.size()));
  std::vector<int> narrowed;
  int cores = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(before.back()), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    narrowed = dx::allowed_processors();
    cores = dx::free_cores();
  }).join();
  CHECK(narrowed == std::vector<int>{before.back()});
  CHECK(cores == 1);
}

TEST_CASE("two threads on one processor wait for it") {
  const auto before = dx::waited_ns();
  if (!before) {
    MESSAGE("this kernel does not count what threads wait");
    return;
  }
  // As long as it takes: a busy thread is put aside for the other one sooner or later.
  std::thread([] {
    const int cpu = dx::allowed_processors().front();
    const auto start = dx::waited_ns();
    std::thread other;
    bool stop = false;
    std::atomic<bool> done{false};
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cpu), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    other = std::thread([&] {
      while (!done) {
      }
    });
    while (!stop) stop = *dx::waited_ns() > *start + 1000000;
    done = true;
    other.join();
    CHECK(stop);
  }).join();
}
