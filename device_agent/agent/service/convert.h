// Values of ours to messages of agent.proto and back.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <vector>

#include "agent/device/board.h"
#include "common/messages.h"
#include "deployx/agent/v1/agent.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

void to_proto(const Board& board, pb::DeviceDescription& message);
void to_proto(const Conditions& conditions, pb::Conditions& message);
void to_proto(const Loaded& loaded, pb::Loaded& message);
void to_proto(const Progress& progress, pb::Progress& message);
void to_proto(const LayerTimes& layer, pb::LayerTimes& message);
void to_proto(const BenchDone& done, pb::BenchSummary& message);
// Takes the tensors' bytes along without copying them.
void to_proto(Outputs&& outputs, pb::InferReply& message);

// Fails for a core selection that agent.proto does not know, and for too many or too long options.
Result<RunOptions> from_proto(const pb::RunOptions& options);
// Takes the tensors' bytes along without copying them.
std::vector<Tensor> from_proto(google::protobuf::RepeatedPtrField<pb::Tensor>&& tensors);
std::vector<FeedBack> from_proto(const google::protobuf::RepeatedPtrField<pb::FeedBack>& feeds);

}  // namespace dx
