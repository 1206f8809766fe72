#include "base/process.h"

#include <unistd.h>

#include <fstream>

namespace latchkey {

std::optional<std::int64_t> resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0, resident = 0;  // pages
  if (!(statm >> size >> resident)) return std::nullopt;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace latchkey
