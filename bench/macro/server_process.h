#pragma once
// The server under test: started, measured from outside through /proc, ended.

#include <sys/types.h>

#include <chrono>
#include <string>

namespace latchkey::bench {

class ServerProcess {
 public:
  /// Runs `<binary> dev --json --port 0 --data-dir <folder>` and returns when it says where it is.
  ServerProcess(const std::string& binary, const std::string& data_dir);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;

  std::uint16_t pds_port() const { return pds_port_; }
  std::uint16_t mailbox_port() const { return mailbox_port_; }
  std::string pds_host() const;  // "localhost:<port>"
  pid_t pid() const { return pid_; }
  /// From the start of the program to its line on stdout.
  std::chrono::microseconds start_time() const { return start_time_; }

  /// Processor time of all threads, user and system. Waits until the server has nothing left to do.
  std::chrono::nanoseconds cpu() const;
  std::size_t resident_kib(const char* field = "VmRSS") const;
  /// What it has written to stderr, from its data folder.
  static std::string complaints(const std::string& data_dir);
  /// SIGTERM, and waits for the end.
  void stop();

 private:
  std::chrono::nanoseconds cpu_now() const;
  pid_t pid_ = -1;
  int out_ = -1;
  std::uint16_t pds_port_ = 0, mailbox_port_ = 0;
  std::chrono::microseconds start_time_{0};
};

}  // namespace latchkey::bench
