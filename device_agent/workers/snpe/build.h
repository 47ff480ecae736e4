// SNPE's network, made of a DLC for the runtimes that were asked for.
#pragma once

#include <string>

#include "common/messages.h"
#include "common/result.h"
#include "workers/snpe/library.h"
#include "workers/snpe/runtimes.h"

namespace dx {

struct Built {
  Handle network;
  Order order;  // what it was built for
};

// Builds the network for the first of the options' runtimes alone, and adds the next one, the
// processor of allow_fallback the last, only where those before it do not take the whole model: so
// it is known which of them took part. Fails with what SNPE says.
Result<Built> build_network(const Library& library, const Load& request);

// The strings of a list of SNPE's.
std::vector<std::string> strings_of(const Library& library, const Handle& list);

}  // namespace dx
