#include "server_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "base/json.h"
#include "base/url.h"

namespace latchkey::bench {
namespace {

using namespace std::chrono_literals;

std::string stderr_of(const std::string& data_dir) { return data_dir + "/stderr.log"; }

std::uint16_t port_of(const json::Value& addresses, std::string_view name) {
  const auto* text = addresses.string_at(name);
  const auto url = text ? Url::parse(*text) : std::nullopt;
  if (!url) throw std::runtime_error("the server did not say where it is");
  return url->effective_port();
}

}  // namespace

ServerProcess::ServerProcess(const std::string& binary, const std::string& data_dir) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  out_ = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, stderr_of(data_dir).c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::string words[] = {binary, "dev", "--json", "--port", "0", "--data-dir", data_dir};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const auto begin = std::chrono::steady_clock::now();
  const int failed = ::posix_spawn(&pid_, binary.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed) {
    pid_ = -1;
    throw std::runtime_error("cannot run " + binary);
  }
  std::string line;
  for (char c; line.find('\n') == std::string::npos && ::read(out_, &c, 1) == 1;) line += c;
  start_time_ =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  const auto addresses = json::parse(line);
  if (!addresses) throw std::runtime_error("the server ended before it was ready:\n" + complaints(data_dir));
  pds_port_ = port_of(*addresses, "pds");
  mailbox_port_ = port_of(*addresses, "mailbox");
}

ServerProcess::~ServerProcess() { stop(); }

std::string ServerProcess::complaints(const std::string& data_dir) {
  std::ifstream file(stderr_of(data_dir));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void ServerProcess::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    ::close(out_);
  }
  pid_ = -1;
}

std::string ServerProcess::pds_host() const { return fmt::format("localhost:{}", pds_port_); }

// /proc/<pid>/stat counts in ticks of 10 ms; the scheduler's own figures are nanoseconds, a file per thread.
// The server's threads live as long as it does, so none is missed.
std::chrono::nanoseconds ServerProcess::cpu_now() const {
  std::int64_t sum = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid_))) {
    std::ifstream file(task.path() / "schedstat");
    std::int64_t on_cpu = 0;
    file >> on_cpu;
    sum += on_cpu;
  }
  if (sum == 0) throw std::runtime_error("no processor times in /proc (CONFIG_SCHEDSTATS)");
  return std::chrono::nanoseconds(sum);
}

std::chrono::nanoseconds ServerProcess::cpu() const {
  auto before = cpu_now();
  for (int quiet = 0, tries = 0; quiet < 3 && tries < 500; ++tries) {
    std::this_thread::sleep_for(10ms);
    const auto now = cpu_now();
    quiet = now - before < 100us ? quiet + 1 : 0;
    before = now;
  }
  return before;
}

std::size_t ServerProcess::resident_kib(const char* field) const {
  std::ifstream file(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(field)) {
      std::istringstream words(line.substr(line.find(':') + 1));
      std::size_t kib = 0;
      words >> kib;
      return kib;
    }
  return 0;
}

}  // namespace latchkey::bench
