#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_join.h>
#include <absl/time/time.h>

#include <cstdio>
#include <string>
#include <vector>

int main() {
  absl::flat_hash_map<std::string, int> map{{"a", 1}, {"b", 2}};
  const std::string joined = absl::StrJoin(std::vector<std::string>{"a", "b"}, "+");
  const std::string time = absl::FormatTime(absl::UnixEpoch(), absl::UTCTimeZone());
  std::printf("%s, %s\n", joined.c_str(), time.c_str());
  return map.at("b") == 2 && joined == "a+b" && time.rfind("1970-01-01", 0) == 0 ? 0 : 1;
}
