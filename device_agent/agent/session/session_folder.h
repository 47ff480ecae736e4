// sessions/<id>/ of the work folder: the logs of one session, gone with it.
#pragma once

#include <string>

#include "agent/files/unique_fd.h"
#include "agent/files/work_folder.h"
#include "common/result.h"

namespace dx {

class SessionFolder {
 public:
  // Removes what sessions that died left, then makes a folder for this one. A lock on a file in
  // the folder, which ends with its process, tells the living from the dead.
  static Result<SessionFolder> create(const WorkFolder& work);

  SessionFolder(SessionFolder&& other) noexcept = default;
  SessionFolder& operator=(SessionFolder&&) = delete;
  SessionFolder(const SessionFolder&) = delete;
  SessionFolder& operator=(const SessionFolder&) = delete;

  // Removes the folder and all in it.
  ~SessionFolder();

  const std::string& path() const { return path_; }

 private:
  SessionFolder(std::string path, UniqueFd lock);

  std::string path_;
  UniqueFd lock_;
};

}  // namespace dx
