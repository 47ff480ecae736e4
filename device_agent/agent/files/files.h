// Small file operations. Functions that return an int give 0 or the errno of what failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dx {

// Makes the folder and its parents with mode 0700 where they are missing.
int make_folders(const std::string& path);

// Removes a file or a folder with all in it; follows no symbolic link. What is not there is no
// error.
int remove_tree(const std::string& path);

// Makes renames and new names in the folder last over a power cut.
int sync_folder(const std::string& path);

// Writes all bytes, over interruptions and short writes.
int write_fully(int fd, std::string_view bytes);

// The first `limit` bytes of a file; empty where it cannot be read.
std::optional<std::string> read_file(const std::string& path, std::size_t limit);

// The last `limit` bytes of a file; empty where it cannot be read.
std::optional<std::string> read_file_end(const std::string& path, std::size_t limit);

// The names in a folder without . and .., sorted; none where it cannot be read.
std::vector<std::string> list_folder(const std::string& path);

// Bytes that we may still write to the file system of that path; empty where it cannot be asked.
std::optional<std::uint64_t> free_bytes(const std::string& path);

// One line for a person: the words of errno without line breaks.
std::string errno_text(int error);

}  // namespace dx
