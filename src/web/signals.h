#pragma once
#include <csignal>

namespace latchkey::web {

/// Called by our threads: signals sent to the process are main's business. SIGPIPE is included, which
/// OpenSSL's writes to a closed connection raise: blocked, it does nothing. Faults of the thread itself stay
/// deadly.
inline void leave_signals_to_main() {
  sigset_t set;
  sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&set, fault);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace latchkey::web
