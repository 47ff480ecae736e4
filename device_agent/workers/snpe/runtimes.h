// Where a model runs: SNPE's runtimes by our words for them.
#pragma once

#include <DlSystem/DlEnums.h>

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/snpe/library.h"

namespace dx {

struct Place {
  std::string name;  // "dsp"
  Snpe_Runtime_t runtime;
  std::string precision;  // what it computes in
  std::string unit;
};

// What was asked for: each takes what those before it refuse.
struct Order {
  std::vector<Place> places;

  // "dsp, cpu".
  std::string text() const;
  bool has(const std::string& name) const;
};

// The places of the option runtime_order. Fails with kOptionRefused for a word that is none, and
// where one stands twice; with kRuntimeRefused for one that this board lacks, with those it has.
Result<Order> read_order(const Library& library, const RunOptions& options);

// The processor, which takes what others refuse.
Place processor();

// The option performance_profile; nothing where it was not given.
Result<Snpe_PerformanceProfile_t> profile_of(const std::string& word);

// The words of an option, between its commas.
std::vector<std::string> words_of(const std::string& text);

}  // namespace dx
