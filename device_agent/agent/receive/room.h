// Room in the work folder: what is oldest goes first.
#pragma once

#include <cstdint>
#include <string>

#include "agent/files/work_folder.h"
#include "agent/receive/manifest.h"
#include "agent/store/verified.h"

namespace dx {

// Removes contents that the manifest does not name, halves of such, what was prepared of models,
// and programs of earlier versions, oldest first, until the folder holds at most `keep_bytes` after
// `missing` bytes came and its disk has room for them; with them the lists of bundles that are no
// longer whole.
// `program` is the path of the one that runs. What cannot be removed stays.
void make_room(const WorkFolder& work, const Manifest& manifest, std::uint64_t missing,
               std::uint64_t keep_bytes, const std::string& program);

// Makes the manifest's contents the newest of the store, whatever the board's clock says: each
// use counts one second on from the newest before. What was verified stays so.
void mark_used(const WorkFolder& work, const Manifest& manifest, Verified& verified);

}  // namespace dx
