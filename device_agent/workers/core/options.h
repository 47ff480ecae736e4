// A runtime's own options: checked against the worker's facts, then read by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/facts.h"

namespace dx {

// Checks the named options and adds what usually holds of those that were not given. Fails with
// kOptionRefused for a name that this runtime does not have, with those like it, and for a value
// that the option does not take.
Status settle_options(const WorkerFacts& facts, RunOptions& options);

// The options as Hello tells them.
std::vector<OptionInfo> option_infos(const WorkerFacts& facts);

// "on or off"; what an option takes, for a person.
std::string values_text(const OptionFact& option);

// What was asked of an option; empty: it is left to the runtime.
// REQUIRES: settle_options() succeeded, and the option is of that kind.
std::optional<bool> switch_of(const RunOptions& options, const std::string& name);
std::optional<std::int64_t> number_of(const RunOptions& options, const std::string& name);
std::optional<std::string> text_of(const RunOptions& options, const std::string& name);

}  // namespace dx
