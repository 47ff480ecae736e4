// What a worker's worker.json says of it. CMake writes the table into <name>_facts.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dx {

enum class OptionKind { kSwitch, kNumber, kChoice, kText };

// One of the runtime's own options.
struct OptionFact {
  std::string_view name;
  OptionKind kind;
  std::string_view values;  // of a choice, with | between them
  std::int64_t minimum;     // of a number
  std::int64_t maximum;
  std::string_view usual;  // what holds where nobody says; "": the runtime's own
  std::string_view help;
  bool remakes;    // what was prepared elsewhere is of no use with it
  bool only_runs;  // what is prepared of a model is the same with any value
};

struct WorkerFacts {
  std::string_view name;
  bool prepares;
  const OptionFact* options;
  std::size_t option_count;

  const OptionFact* begin() const { return options; }
  const OptionFact* end() const { return options + option_count; }
};

}  // namespace dx
