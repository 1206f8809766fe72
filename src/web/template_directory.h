#pragma once
// Templates an operator puts in the place of ours.

#include <deque>
#include <string>
#include <vector>

#include "web/embedded.h"

namespace latchkey::web {

/// The templates of an operator: every *.html and *.txt of a folder, but those whose name begins with a dot.
class TemplateDirectory {
 public:
  /// "" : none. Throws std::runtime_error when the folder or a file cannot be read, or is larger than 256
  /// KiB.
  explicit TemplateDirectory(const std::string& path);
  EmbeddedFiles files() const { return files_; }

 private:
  struct Text {
    std::string name, origin, text;
  };
  std::deque<Text> texts_;  // what files_ points to stays in its place
  std::vector<EmbeddedFile> files_;
};

}  // namespace latchkey::web
