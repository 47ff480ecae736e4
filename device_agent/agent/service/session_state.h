// What all calls of a session share.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>

#include "agent/device/describe.h"
#include "agent/service/connections.h"
#include "agent/session/lifetime.h"
#include "agent/worker/models.h"

namespace dx {

// What was prepared anew in this session, and need not be again.
class Rebuilt {
 public:
  // Whether it is the first that asks for this key.
  bool is_first(const std::string& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return keys_.insert(key).second;
  }
  // The preparation failed.
  void forget(const std::string& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    keys_.erase(key);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> keys_;
};

struct SessionState {
  const std::string token;
  const BoardReader& board;
  Models& models;
  Lifetime& lifetime;
  Connections& connections;
  std::atomic<bool> shaken{false};  // a handshake has succeeded
  Rebuilt rebuilt = {};
};

}  // namespace dx
