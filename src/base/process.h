#pragma once
// What the system says about this process.

#include <cstdint>
#include <optional>

namespace latchkey {

/// Memory that is in RAM, in bytes; nothing where the system does not tell (proc_pid_statm(5)).
std::optional<std::int64_t> resident_bytes();

}  // namespace latchkey
