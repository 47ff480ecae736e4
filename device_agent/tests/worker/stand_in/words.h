// How libraries that stand in for makers' ones behave is said by words in the environment,
// DX_STAND_IN="gpu=72 crash", or in the file that it names, DX_STAND_IN="@/words": a board that
// runs behaves otherwise once other words stand there.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace dx::stand_in {

inline std::string said_words() {
  const char* const said = std::getenv("DX_STAND_IN");
  if (said == nullptr || *said != '@') return said == nullptr ? "" : said;
  std::ifstream file(said + 1);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The value of a word, "" for one without, nothing where it is not there.
inline std::optional<std::string> word(const std::string& name) {
  std::istringstream words(said_words());
  for (std::string each; words >> each;) {
    const std::size_t end = each.find('=');
    if (each.substr(0, end) != name) continue;
    return end == std::string::npos ? "" : each.substr(end + 1);
  }
  return std::nullopt;
}

inline long number(const std::string& name, long usual) {
  const std::optional<std::string> found = word(name);
  return found ? std::strtol(found->c_str(), nullptr, 10) : usual;
}

// Beside a file of words stands another one from when it hangs on, for those who wait for that.
inline void say_that_it_hangs() {
  const char* const said = std::getenv("DX_STAND_IN");
  if (said != nullptr && *said == '@') (void)std::ofstream(said + 1 + std::string(".hangs"));
}

// Crashes or hangs where "crash" or "hang" with `when` behind it is among the words.
inline void misbehave(const std::string& when) {
  if (word("crash" + when)) {
    // Sanitizers catch it, and a worker must die as one without them does.
    (void)std::signal(SIGSEGV, SIG_DFL);
    (void)std::raise(SIGSEGV);
  }
  if (word("hang" + when)) say_that_it_hangs();
  while (word("hang" + when)) (void)::pause();
}

}  // namespace dx::stand_in
