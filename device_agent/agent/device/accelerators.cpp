#include "agent/device/accelerators.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dx {
namespace {

// What devfreq calls accelerators; Jetsons before JetPack 6 name the GPU by its kind.
constexpr std::string_view kAccelerators[] = {"gpu",   "npu",   "dla",  "ga10b",
                                              "gv11b", "gp10b", "gm20b"};
constexpr std::int64_t kHzInMhz = 1000000;

bool is_accelerator(const std::string& name) {
  return std::any_of(std::begin(kAccelerators), std::end(kAccelerators),
                     [&](std::string_view one) { return name.find(one) != std::string::npos; });
}

void read_clock(const SysFiles& files, const std::string& name, const std::string& path,
                Conditions& conditions) {
  const auto now = files.number(path + "/cur_freq");
  if (!now || *now <= 0) return;
  const double mhz = static_cast<double>(*now) / static_cast<double>(kHzInMhz);
  conditions.measures.push_back({name + " clock", mhz, "MHz", files.full_path(path + "/cur_freq")});
  const auto least = files.number(path + "/min_freq");
  const auto most = files.number(path + "/max_freq");
  if (least && most && *least == *most) {
    conditions.settings.push_back(name + " clock locked at " + std::to_string(*most / kHzInMhz) +
                                  " MHz");
  }
}

// In thousandths where NVIDIA's driver tells it, in hundredths ("35@800000000Hz") on Rockchip's.
void read_load(const SysFiles& files, const std::string& name, const std::string& path,
               std::int64_t whole, Conditions& conditions) {
  const std::optional<std::string> text = files.text(path);
  if (!text) return;
  const std::string digits = text->substr(0, text->find('@'));
  const bool is_number = !digits.empty() && digits.size() < 6 &&
                         digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) return;
  const std::int64_t load = std::stoll(digits);
  if (load > whole) return;
  const double percent = 100.0 * static_cast<double>(load) / static_cast<double>(whole);
  conditions.measures.push_back({name + " load", percent, "%", files.full_path(path)});
}

void read_devfreq(const SysFiles& files, Conditions& conditions) {
  const std::string folder = "/sys/class/devfreq";
  for (const std::string& name : files.list(folder)) {
    if (!is_accelerator(name)) continue;
    const std::string path = folder + "/" + name;
    read_clock(files, name, path, conditions);
    if (files.exists(path + "/device/load")) {
      read_load(files, name, path + "/device/load", 1000, conditions);
    } else {
      read_load(files, name, path + "/load", 100, conditions);
    }
  }
}

// Rockchip's driver tells it of each core ("NPU load:  Core0: 35%, Core1:  0%,"), to root alone.
void read_npu_load(const SysFiles& files, Conditions& conditions) {
  const std::string path = "/sys/kernel/debug/rknpu/load";
  const std::string text = files.text(path).value_or("");
  std::size_t begin = 0;
  for (std::size_t end = text.find('%'); end != std::string::npos; end = text.find('%', begin)) {
    const std::string piece = text.substr(begin, end - begin);
    begin = end + 1;
    const std::string digits = piece.substr(piece.find_last_of(": ") + 1);
    const bool is_number = !digits.empty() && digits.size() < 4 &&
                           digits.find_first_not_of("0123456789") == std::string::npos;
    if (!is_number || std::stoi(digits) > 100) continue;
    const std::size_t core = piece.find("Core");
    const std::string name =
        core == std::string::npos ? "npu" : "npu c" + piece.substr(core + 1, 4);
    conditions.measures.push_back(
        {name + " load", static_cast<double>(std::stoi(digits)), "%", files.full_path(path)});
  }
}

// Two of what an INA3221 measures (mV and mA), or the power itself (microwatts).
void read_rail(const SysFiles& files, const std::string& path, const std::string& number,
               const std::string& chip, Conditions& conditions) {
  const std::string label =
      "power " + files.text(path + "/in" + number + "_label").value_or(chip + " " + number);
  const auto volts = files.number(path + "/in" + number + "_input");
  const auto amperes = files.number(path + "/curr" + number + "_input");
  if (!volts || !amperes || *volts < 0 || *amperes < 0) return;
  const double watts = static_cast<double>(*volts) * static_cast<double>(*amperes) / 1e6;
  conditions.measures.push_back(
      {label, watts, "W", files.full_path(path + "/curr" + number + "_input")});
}

void read_power(const SysFiles& files, Conditions& conditions) {
  const std::string folder = "/sys/class/hwmon";
  for (const std::string& each : files.list(folder)) {
    const std::string path = folder + "/" + each;
    const std::string chip = files.text(path + "/name").value_or(each);
    if (chip.rfind("ina", 0) != 0) continue;
    for (const char* number : {"1", "2", "3"}) read_rail(files, path, number, chip, conditions);
  }
}

// The word after `key` in "pmode:0002 fmode:quiet", or of "< POWER_MODEL ID=2 NAME=MODE_15W >".
std::string word_after(std::string_view text, std::string_view key) {
  const std::size_t found = text.find(key);
  if (found == std::string_view::npos) return "";
  const std::string_view rest = text.substr(found + key.size());
  return std::string(rest.substr(0, rest.find_first_of(" \t>\n")));
}

// Without the zeros before it.
std::string plain_number(const std::string& digits) {
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string::npos ? "0" : digits.substr(first);
}

// Jetsons: nvpmodel writes which of the modes in its list was chosen.
void read_power_mode(const SysFiles& files, Conditions& conditions) {
  const std::string status = files.text("/var/lib/nvpmodel/status").value_or("");
  const std::string chosen = word_after(status, "pmode:");
  if (chosen.empty()) return;
  const std::string id = plain_number(chosen);
  std::string mode = id;
  const std::string list = files.text("/etc/nvpmodel.conf").value_or("");
  for (const std::string_view line : lines_of(list)) {
    if (line.find("POWER_MODEL") == std::string_view::npos || word_after(line, "ID=") != id)
      continue;
    const std::string name = word_after(line, "NAME=");
    if (!name.empty() && trimmed(line).front() == '<') mode = name;
  }
  conditions.settings.push_back("power mode " + mode);
}

}  // namespace

void read_accelerators(const SysFiles& files, Conditions& conditions) {
  read_power_mode(files, conditions);
  read_devfreq(files, conditions);
  read_npu_load(files, conditions);
  read_power(files, conditions);
}

}  // namespace dx
