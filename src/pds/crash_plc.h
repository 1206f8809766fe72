#pragma once
// A directory that survives its clients: one file, one line per operation, fsynced before it answers. For
// crash_test.cpp and crash_child.cpp.

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>

#include "atproto/plc/operation.h"
#include "pds/pds.h"
#include "pds/plc_client.h"

namespace latchkey::pds {

class FilePlc final : public PlcClient {
 public:
  explicit FilePlc(std::string path) : path_(std::move(path)) {
    std::ifstream in(path_);
    std::string line;
    std::size_t whole = 0;
    while (std::getline(in, line) && !in.eof()) {  // a last line without its end was never answered for
      whole += line.size() + 1;
      auto operation = plc::Operation::parse(line).value();
      operations_.emplace(plc::did_of(operation).str(), std::move(operation));
    }
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0 || ::ftruncate(fd_, static_cast<off_t>(whole)) != 0 || ::lseek(fd_, 0, SEEK_END) < 0)
      throw std::runtime_error("plc file");
  }
  ~FilePlc() override { ::close(fd_); }

  Task<Result<void, PlcFault>> submit(std::string did, std::string text) override {
    if (operations_.contains(did)) co_return {};
    auto operation = plc::Operation::parse(text).value();
    text += '\n';
    if (::write(fd_, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd_) != 0)
      throw std::runtime_error("plc file");
    operations_.emplace(std::move(did), std::move(operation));
    co_return {};
  }
  // The child makes accounts and changes none.
  Task<Result<void, PlcFault>> append(Did, plc::Operation) override {
    throw std::logic_error("genesis operations only");
  }
  Task<Result<std::vector<plc::LogEntry>, PlcFault>> log(Did) override {
    throw std::logic_error("genesis operations only");
  }
  Task<Result<std::optional<json::Value>, PlcFault>> resolve(std::string did) override {
    auto found = operations_.find(did);
    if (found == operations_.end()) co_return std::optional<json::Value>();
    co_return std::optional<json::Value>(plc::did_document(Did::parse(did).value(), *found->second.data()));
  }
  const std::map<std::string, plc::Operation>& operations() const { return operations_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::map<std::string, plc::Operation> operations_;
};

/// The same keys and secrets in every process.
inline Config crash_config() {
  SeededRng rng(11);
  return Config{.public_url = "https://pds.test",
                .service_did = "did:web:pds.test",
                .handle_domains = {".test"},
                .version = "0",
                .jwt_secret = Secret<std::string>("a test secret of more than 32 bytes!"),
                .rotation_key = crypto::PrivateKey::generate(crypto::Curve::k256, rng)};
}
inline crypto::Sealer crash_sealer() { return crypto::Sealer(Secret<Bytes>(Bytes(32, 7))); }

/// One acknowledgement, written with one write(2), which a pipe keeps whole. Without a key: the account.
struct Ack {
  char did[33];
  char rkey[14];
};

}  // namespace latchkey::pds
