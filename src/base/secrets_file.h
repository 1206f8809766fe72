#pragma once
// Secrets that were made here because the operator gave none: one JSON file, readable by its owner only.

#include <string>

#include "base/rng.h"
#include "base/secret.h"

namespace latchkey {

class SecretsFile {
 public:
  /// Reads the file when it is there. Throws std::runtime_error when it cannot be read, is damaged, or others
  /// may read it.
  SecretsFile(std::string path, Rng& rng);
  /// The secret of this name as hexadecimal text; `bytes` fresh random bytes when there was none, on disk
  /// before this returns.
  Secret<std::string> get(const std::string& name, std::size_t bytes = 32);

 private:
  void save() const;
  std::string path_;
  Rng& rng_;
  std::vector<std::pair<std::string, std::string>> secrets_;
};

}  // namespace latchkey
