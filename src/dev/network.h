#pragma once
// A whole atproto network in one process, on this machine only: PLC directory, ePDS, mailbox and demo app,
// each on its own port of the loopback interface.

#include <memory>
#include <optional>
#include <set>
#include <string>

namespace latchkey::dev {

struct NetworkOptions {
  std::uint16_t port = 0;                // of the PDS; the others take the next three. 0: four free ones
  std::string data_dir;                  // must exist
  std::optional<std::string> auth_host;  // e.g. auth.localhost: the sign-in pages under a name of their own
  unsigned threads = 2;
  bool rate_limits = false;                    // as in serve; here everybody has one address
  std::set<std::string> trusted_clients = {};  // client_ids
};

struct Addresses {
  std::string pds, auth, plc, app, mailbox;  // URLs without trailing slash
};

class Network {
 public:
  /// Throws when the data directory or a port cannot be used.
  explicit Network(NetworkOptions options);
  ~Network();
  Network(const Network&) = delete;

  /// Returns when every server answers.
  void start();
  /// Finishes requests under way.
  void stop();
  const Addresses& addresses() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::dev
