#include "signin/metrics.h"

#include <fmt/format.h>

#include <iterator>

#include "base/process.h"
#include "mail/queue_rows.h"
#include "oauth/server/statistics.h"
#include "pds/statistics.h"
#include "signin/backup_emails.h"

namespace latchkey::signin {
namespace {

struct Counts {
  std::int64_t accounts, pending_flows, backup_emails, mails_waiting;
};

class Page {
 public:
  template <class T>
  void gauge(std::string_view name, std::string_view help, T value, std::string_view labels = {}) {
    fmt::format_to(std::back_inserter(text_), "# HELP {0} {1}\n# TYPE {0} gauge\n{0}{2} {3}\n", name, help,
                   labels, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// "Text format details": these three are escaped in the value of a label.
std::string label(std::string_view name, std::string_view value) {
  std::string out = fmt::format("{{{}=\"", name);
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"}";
}

double seconds(Time time) { return static_cast<double>(unix_micros(time)) / 1e6; }

}  // namespace

Metrics::Metrics(store::Database& db, pds::Pds& pds, std::shared_ptr<const web::RateLimits> limits)
    : db_(db), pds_(pds), limits_(std::move(limits)), started_at_(pds.clock().now()) {}

void Metrics::add_routes(web::Router& router) {
  if (pds_.config().admin_password)
    router.get("/metrics", [this](web::Request r) { return answer(std::move(r)); });
}

Task<web::Response> Metrics::answer(web::Request request) {
  if (!co_await pds_.authenticator().authenticate(request, pds::Access::admin)) {
    auto refused = web::Response::error(401, "AuthenticationRequired", "Authentication Required");
    refused.header("www-authenticate", "Basic realm=\"metrics\", charset=\"UTF-8\"");  // RFC 7617 §2, §2.1
    refused.header("cache-control", "no-store");
    co_return refused;
  }
  const Time now = pds_.clock().now();
  const auto counts = co_await db_.read([now](store::Tx& tx) {
    return Counts{.accounts = pds::accounts::count(tx),
                  .pending_flows = oauth::requests::opened(tx, now),
                  .backup_emails = backup_emails::count(tx),
                  .mails_waiting = mail::rows::count(tx)};
  });
  Page page;
  page.gauge("latchkey_build_info", "Which version runs.", 1, label("version", pds_.config().version));
  page.gauge("latchkey_accounts", "Accounts of this server.", counts.accounts);
  page.gauge("latchkey_pending_flows", "Sign-ins that a browser has begun and not ended.",
             counts.pending_flows);
  page.gauge("latchkey_backup_emails", "Backup addresses, confirmed or not.", counts.backup_emails);
  page.gauge("latchkey_mails_waiting", "Mails that are neither delivered nor given up.",
             counts.mails_waiting);
  page.gauge("latchkey_rate_limit_entries", "Clients whose requests this process counts, by rule.",
             limits_ ? limits_->size() : 0);
  page.gauge("latchkey_uptime_seconds", "How long this process has been running.",
             seconds(now) - seconds(started_at_));
  page.gauge("process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.",
             seconds(started_at_));
  if (const auto bytes = resident_bytes())
    page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", *bytes);
  web::Response response;
  response.header("content-type", "text/plain; version=0.0.4; charset=utf-8");
  response.header("cache-control", "no-store");
  response.body = page.take();
  co_return response;
}

}  // namespace latchkey::signin
