// What all calls of a session share.
#pragma once

#include <atomic>
#include <string>

#include "agent/device/describe.h"
#include "agent/service/connections.h"
#include "agent/session/lifetime.h"
#include "agent/worker/models.h"

namespace dx {

struct SessionState {
  const std::string token;
  const BoardReader& board;
  Models& models;
  Lifetime& lifetime;
  Connections& connections;
  std::atomic<bool> shaken{false};  // a handshake has succeeded
};

}  // namespace dx
