#include <re2/re2.h>

#include <cstdio>
#include <string>

int main() {
  int number = 0;
  std::string word;
  const bool matched = RE2::FullMatch("ruby:1234", R"((\w+):(\d+))", &word, &number);
  std::printf("%s %d\n", word.c_str(), number);
  return matched && word == "ruby" && number == 1234 && !RE2::FullMatch("x", "[a-w]+") ? 0 : 1;
}
