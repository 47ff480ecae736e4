// What a LoadRequest asks for, checked: the contents that it names are there and undamaged.
#pragma once

#include <memory>
#include <string>

#include "agent/service/session_state.h"
#include "agent/worker/channel.h"
#include "agent/worker/library_folder.h"
#include "agent/worker/worker.h"
#include "common/messages.h"
#include "deployx/agent/v1/agent.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

// The worker's path, its libraries in their folder, and what it is to load.
struct LoadPlan {
  std::string worker;
  std::shared_ptr<const LibraryFolder> libraries;
  Load load;
  WorkerLimits limits;
};

Result<LoadPlan> plan_load(const pb::LoadRequest& request, SessionState& state,
                           const StopCheck& stop);

// The key under which the worker that greeted so keeps what it prepares of this request.
std::string prepared_key_of(const pb::LoadRequest& request, const Hello& hello, const Board& board);

}  // namespace dx
