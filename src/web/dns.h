#pragma once
// TXT and MX records through c-ares.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/fetch.h"
#include "base/mx_lookup.h"

namespace latchkey::web {

struct DnsOptions {
  std::vector<std::string> nameservers;         // "9.9.9.9", "127.0.0.1:5353", "[::1]:53"; none: the system's
  std::vector<std::string> backup_nameservers;  // asked when the first ones give no answer
  std::chrono::milliseconds timeout{3000};      // for the whole lookup
  std::size_t max_records = 64;                 // more is an error
  std::size_t max_parallel = 256;
};

class DnsResolver final : public TxtLookup, public MxLookup {
 public:
  explicit DnsResolver(DnsOptions options = {});
  ~DnsResolver() override;
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override;
  Task<Result<std::vector<MxRecord>, FetchError>> mx(std::string name) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace latchkey::web
