#include "web/dns.h"

#include <ares.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <list>
#include <stdexcept>
#include <thread>

#include "web/signals.h"

namespace latchkey::web {
namespace {

struct Answer {  // of one of the two kinds
  std::vector<std::string> txt;
  std::vector<MxRecord> mx;
};
using Outcome = Result<Answer, FetchError>;
using Kind = FetchError::Kind;
using Steady = std::chrono::steady_clock;

constexpr int k_class_in = 1, k_type_mx = 15, k_type_txt = 16;  // RFC 1035 §3.2.2, §3.2.4

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253 || name.find("..") != std::string_view::npos || name.front() == '.')
    return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

void init_ares() {
  static const int result = ares_library_init(ARES_LIB_INIT_ALL);
  if (result != ARES_SUCCESS) throw std::runtime_error("c-ares does not start");
}

Outcome read_mx(const unsigned char* answer, int length, std::size_t max_records) {
  ares_mx_reply* list = nullptr;
  const int result = ares_parse_mx_reply(answer, length, &list);
  if (result == ARES_ENODATA) return {};
  if (result != ARES_SUCCESS) return fail(FetchError{Kind::bad_answer, ares_strerror(result)});
  Answer out;
  for (const auto* m = list; m && out.mx.size() <= max_records; m = m->next)
    out.mx.push_back({m->priority, m->host});
  ares_free_data(list);
  if (out.mx.size() > max_records) return fail(FetchError{Kind::too_large, "too many MX records"});
  return out;
}

Outcome read_txt(const unsigned char* answer, int length, std::size_t max_records) {
  ares_txt_ext* list = nullptr;
  const int result = ares_parse_txt_reply_ext(answer, length, &list);
  if (result == ARES_ENODATA) return {};
  if (result != ARES_SUCCESS) return fail(FetchError{Kind::bad_answer, ares_strerror(result)});
  Answer found;
  auto& out = found.txt;
  bool too_many = false;
  for (const auto* t = list; t; t = t->next) {
    // A record is one or more strings (RFC 1035 §3.3.14).
    if (t->record_start || out.empty()) {
      if (out.size() == max_records) {
        too_many = true;
        break;
      }
      out.emplace_back();
    }
    out.back().append(reinterpret_cast<const char*>(t->txt), t->length);
  }
  ares_free_data(list);
  if (too_many) return fail(FetchError{Kind::too_large, "too many TXT records"});
  return found;
}

}  // namespace

struct DnsResolver::Impl {
  struct Query {
    Impl* owner;
    int type;
    std::string name;
    Completion<Outcome> done;
    Steady::time_point deadline;
    bool backup_asked = false;
    bool delivered = false;
    std::list<Query>::iterator self{};
  };

  explicit Impl(DnsOptions o) : options(std::move(o)) {
    init_ares();
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) throw std::runtime_error("eventfd");
    main = open(options.nameservers);
    if (!options.backup_nameservers.empty()) backup = open(options.backup_nameservers);
    thread = std::thread([this] { run(); });
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    wake();
    thread.join();
    ares_destroy(main);
    if (backup) ares_destroy(backup);
    close(wake_fd);
  }

  ares_channel open(const std::vector<std::string>& servers) const {
    ares_options o{};
    o.tries = 2;
    // Both tries, and the backup, fit into the whole.
    o.timeout = static_cast<int>(
        std::max<std::int64_t>(50, options.timeout.count() / (options.backup_nameservers.empty() ? 3 : 6)));
    ares_channel channel = nullptr;
    if (ares_init_options(&channel, &o, ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS) != ARES_SUCCESS)
      throw std::runtime_error("c-ares channel");
    if (!servers.empty()) {
      const auto csv = fmt::format("{}", fmt::join(servers, ","));
      if (ares_set_servers_ports_csv(channel, csv.c_str()) != ARES_SUCCESS) {
        ares_destroy(channel);
        throw std::invalid_argument(fmt::format("not name servers: {}", csv));
      }
    }
    return channel;
  }

  void wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!write(wake_fd, &one, sizeof one));
  }

  void deliver(Query& q, Outcome outcome) {
    if (q.delivered) return;
    q.delivered = true;
    {
      std::lock_guard lock(mutex);
      --count;
    }
    q.done.deliver(std::move(outcome));
  }

  static void on_answer(void* context, int status, int, unsigned char* answer, int length) {
    auto& q = *static_cast<Query*>(context);
    auto& owner = *q.owner;
    Outcome outcome;
    switch (status) {
      case ARES_SUCCESS:
        outcome = q.type == k_type_mx ? read_mx(answer, length, owner.options.max_records)
                                      : read_txt(answer, length, owner.options.max_records);
        break;
      case ARES_ENODATA:
      case ARES_ENOTFOUND:
        break;  // no such name or no such record: an empty list
      case ARES_ETIMEOUT:
        outcome = fail(FetchError{Kind::timeout, "DNS"});
        break;
      case ARES_EDESTRUCTION:
      case ARES_ECANCELLED:
        outcome = fail(FetchError{Kind::unreachable, "shutting down"});
        break;
      default:
        outcome = fail(FetchError{Kind::unreachable, ares_strerror(status)});
        break;
    }
    const bool ended = status == ARES_EDESTRUCTION || status == ARES_ECANCELLED;
    if (!outcome && !ended && !q.delivered && owner.backup && !q.backup_asked) {
      q.backup_asked = true;
      ares_query(owner.backup, q.name.c_str(), k_class_in, q.type, &on_answer, &q);
      return;
    }
    owner.deliver(q, std::move(outcome));
    owner.queries.erase(q.self);
  }

  void run() {
    leave_signals_to_main();
    for (;;) {
      std::deque<Query> fresh;
      {
        std::lock_guard lock(mutex);
        if (stopping) break;
        fresh.swap(waiting);
      }
      for (auto& f : fresh) {
        queries.push_back(std::move(f));
        auto& q = queries.back();
        q.self = std::prev(queries.end());
        ares_query(main, q.name.c_str(), k_class_in, q.type, &on_answer, &q);
      }

      std::vector<pollfd> fds{{wake_fd, POLLIN, 0}};
      std::vector<ares_channel> owners{nullptr};
      timeval soonest{1, 0};
      for (auto* channel : {main, backup}) {
        if (!channel) continue;
        ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
        const int bits = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
        for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
          const short events = static_cast<short>((ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0) |
                                                  (ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0));
          if (!events) continue;
          fds.push_back({sockets[i], events, 0});
          owners.push_back(channel);
        }
        timeval room{};
        soonest = *ares_timeout(channel, &soonest, &room);
      }
      auto wait = std::chrono::milliseconds(soonest.tv_sec * 1000 + soonest.tv_usec / 1000 + 1);
      const auto now = Steady::now();
      for (const auto& q : queries)
        if (!q.delivered)
          wait = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(q.deadline - now),
                            std::chrono::milliseconds(0), wait);
      poll(fds.data(), fds.size(), static_cast<int>(wait.count()));

      if (fds[0].revents) {
        std::uint64_t drained;
        static_cast<void>(!read(wake_fd, &drained, sizeof drained));
      }
      for (std::size_t i = 1; i < fds.size(); ++i)
        if (fds[i].revents)
          ares_process_fd(owners[i],
                          fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
                          fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
      for (auto* channel : {main, backup})
        if (channel) ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // timeouts
      const auto after = Steady::now();
      for (auto& q : queries)
        if (after >= q.deadline) deliver(q, fail(FetchError{Kind::timeout, "DNS"}));
    }
    ares_cancel(main);
    if (backup) ares_cancel(backup);
    for (auto& q : waiting_at_stop()) deliver(q, fail(FetchError{Kind::unreachable, "shutting down"}));
  }

  Task<Outcome> ask(int type, std::string name) {
    if (!is_dns_name(name)) co_return fail(FetchError{Kind::refused_by_guard, "not a DNS name"});
    Completion<Outcome> done;
    {
      std::lock_guard lock(mutex);
      if (count >= options.max_parallel)
        co_return fail(FetchError{Kind::unreachable, "too many lookups under way"});
      ++count;
      waiting.push_back({.owner = this,
                         .type = type,
                         .name = std::move(name),
                         .done = done,
                         .deadline = Steady::now() + options.timeout});
    }
    wake();
    co_return co_await done;
  }

  std::deque<Query> waiting_at_stop() {
    std::lock_guard lock(mutex);
    return std::exchange(waiting, {});
  }

  DnsOptions options;
  int wake_fd = -1;
  ares_channel main = nullptr, backup = nullptr;
  std::list<Query> queries;  // of the thread

  std::mutex mutex;
  std::deque<Query> waiting;
  std::size_t count = 0;
  bool stopping = false;
  std::thread thread;
};

DnsResolver::DnsResolver(DnsOptions options) : impl_(std::make_shared<Impl>(std::move(options))) {}
DnsResolver::~DnsResolver() = default;

Task<Result<std::vector<std::string>, FetchError>> DnsResolver::txt(std::string name) {
  CO_TRY(auto answer, co_await impl_->ask(k_type_txt, std::move(name)));
  co_return std::move(answer.txt);
}

Task<Result<std::vector<MxRecord>, FetchError>> DnsResolver::mx(std::string name) {
  CO_TRY(auto answer, co_await impl_->ask(k_type_mx, std::move(name)));
  co_return std::move(answer.mx);
}

}  // namespace latchkey::web
