#include "pds/handles.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace latchkey::pds {
namespace {

// Sorted, looked up by binary search.
constexpr std::array k_reserved = std::to_array<std::string_view>({
    "about",
    "abuse",
    "access",
    "account",
    "accounts",
    "acme",
    "activate",
    "address",
    "admin",
    "administration",
    "administrator",
    "admins",
    "ads",
    "advertising",
    "alert",
    "alerts",
    "alpha",
    "analytics",
    "android",
    "announce",
    "announcements",
    "anonymous",
    "api",
    "apis",
    "app",
    "apps",
    "archive",
    "assets",
    "at",
    "atp",
    "atproto",
    "auth",
    "authentication",
    "authorize",
    "autoconfig",
    "autodiscover",
    "backend",
    "backup",
    "banner",
    "beta",
    "billing",
    "blob",
    "blobs",
    "blog",
    "blogs",
    "bluesky",
    "board",
    "bot",
    "bots",
    "broadcasthost",
    "bsky",
    "business",
    "buy",
    "cache",
    "calendar",
    "careers",
    "cdn",
    "changelog",
    "chat",
    "checkout",
    "client",
    "cloud",
    "cname",
    "code",
    "community",
    "compare",
    "config",
    "connect",
    "console",
    "contact",
    "copyright",
    "cpanel",
    "create",
    "css",
    "dashboard",
    "data",
    "database",
    "default",
    "delete",
    "demo",
    "deploy",
    "dev",
    "developer",
    "developers",
    "did",
    "directory",
    "dns",
    "docs",
    "documentation",
    "domain",
    "domains",
    "download",
    "downloads",
    "edit",
    "editor",
    "email",
    "error",
    "errors",
    "event",
    "events",
    "example",
    "explore",
    "export",
    "faq",
    "feed",
    "feedback",
    "feeds",
    "file",
    "files",
    "firehose",
    "follow",
    "forgot",
    "forum",
    "forums",
    "frontend",
    "ftp",
    "git",
    "graph",
    "group",
    "groups",
    "guest",
    "guide",
    "handle",
    "health",
    "help",
    "helpdesk",
    "home",
    "homepage",
    "host",
    "hosting",
    "hostmaster",
    "html",
    "http",
    "https",
    "image",
    "images",
    "imap",
    "import",
    "index",
    "info",
    "inbox",
    "internal",
    "invalid",
    "invite",
    "invites",
    "ios",
    "isatap",
    "jobs",
    "json",
    "jwks",
    "labeler",
    "legal",
    "lex",
    "lexicon",
    "license",
    "list",
    "lists",
    "local",
    "localdomain",
    "localhost",
    "log",
    "login",
    "logout",
    "logs",
    "mail",
    "mailbox",
    "mailer",
    "mailer-daemon",
    "manage",
    "manager",
    "marketing",
    "media",
    "message",
    "messages",
    "metrics",
    "mobile",
    "mod",
    "moderation",
    "moderator",
    "moderators",
    "monitor",
    "mta-sts",
    "mx",
    "net",
    "network",
    "news",
    "newsletter",
    "nobody",
    "noc",
    "noreply",
    "no-reply",
    "notifications",
    "notify",
    "nsid",
    "null",
    "oauth",
    "official",
    "openid",
    "operator",
    "order",
    "orders",
    "owner",
    "page",
    "pages",
    "partner",
    "partners",
    "passkey",
    "password",
    "payment",
    "payments",
    "pds",
    "photo",
    "photos",
    "plc",
    "policy",
    "pop",
    "pop3",
    "portal",
    "post",
    "postmaster",
    "posts",
    "press",
    "preview",
    "privacy",
    "production",
    "profile",
    "profiles",
    "proxy",
    "public",
    "recover",
    "recovery",
    "register",
    "registration",
    "relay",
    "repo",
    "report",
    "reports",
    "reset",
    "root",
    "rss",
    "sales",
    "sample",
    "search",
    "secure",
    "security",
    "server",
    "servers",
    "service",
    "services",
    "session",
    "sessions",
    "settings",
    "setup",
    "shop",
    "signin",
    "signup",
    "site",
    "sitemap",
    "sites",
    "smtp",
    "ssl",
    "ssladmin",
    "sso",
    "staff",
    "stage",
    "staging",
    "static",
    "statistics",
    "stats",
    "status",
    "store",
    "subdomain",
    "subscribe",
    "support",
    "survey",
    "sync",
    "sysadmin",
    "system",
    "team",
    "teams",
    "terms",
    "test",
    "testing",
    "tests",
    "tid",
    "tls",
    "token",
    "tokens",
    "tos",
    "trust",
    "undefined",
    "unsubscribe",
    "update",
    "upload",
    "uploads",
    "usage",
    "user",
    "username",
    "users",
    "usenet",
    "uucp",
    "verification",
    "verify",
    "version",
    "video",
    "videos",
    "web",
    "webmail",
    "webmaster",
    "website",
    "websites",
    "well-known",
    "widget",
    "wiki",
    "wpad",
    "www",
    "xrpc",
    "you",
    "yourname",
});

constexpr std::array k_rude = std::to_array<std::string_view>({
    "anal", "anus", "arse", "bitch", "boob", "cock", "coon", "cum",  "cunt", "dick", "dyke",
    "fag",  "fuck", "fuk",  "gook",  "gypo", "hoe",  "homo", "jizz", "kike", "kill", "kkk",
    "naz",  "nig",  "paki", "penis", "piss", "poop", "porn", "puss", "rape", "sex",  "shit",
    "slut", "spic", "suck", "tit",   "twat", "wank", "whor", "xxx",
});

// "supp0rt" is no use to an impostor either; this is for rude words only, reserved names are exact.
char as_letter(char c) {
  switch (c) {
    case '0':
      return 'o';
    case '1':
      return 'i';
    case '3':
      return 'e';
    case '4':
      return 'a';
    case '5':
      return 's';
    case '7':
      return 't';
    case '8':
      return 'b';
    case '9':
      return 'g';
    default:
      return c;
  }
}

std::unexpected<xrpc::Fault> refuse(xrpc::Error code, const char* message) {
  return fail(xrpc::Fault{.code = code, .message = message});
}

}  // namespace

bool is_reserved_label(std::string_view label) {
  static const auto sorted = [] {
    auto copy = k_reserved;
    std::ranges::sort(copy);
    return copy;
  }();
  return std::ranges::binary_search(sorted, label);
}

bool is_rude(std::string_view label) {
  std::string letters;
  for (char c : label)
    if (c != '-') letters.push_back(as_letter(c));
  return std::ranges::any_of(k_rude, [&](std::string_view word) { return letters.contains(word); });
}

HandleRules::HandleRules(std::vector<std::string> domains) : domains_(std::move(domains)) {
  if (domains_.empty()) throw std::invalid_argument("no service handle domain");
  for (const auto& domain : domains_)
    if (!domain.starts_with('.') || !Handle::parse("abc" + domain))
      throw std::invalid_argument("not a service handle domain: " + domain);
}

std::optional<std::string_view> HandleRules::domain_of(std::string_view handle) const {
  std::optional<std::string_view> best;
  for (const auto& domain : domains_)
    if (handle.ends_with(domain) && (!best || domain.size() > best->size())) best = domain;
  return best;
}

bool HandleRules::is_ours(std::string_view host) const {
  return domain_of(host) || std::ranges::any_of(domains_, [&](const std::string& domain) {
           return host == std::string_view(domain).substr(1);
         });
}

Result<void, xrpc::Fault> HandleRules::check(const Handle& handle) const {
  const auto domain = domain_of(handle.str());
  if (!domain) return refuse(xrpc::Error::UnsupportedDomain, "Not a supported handle domain");
  const std::string_view label =
      std::string_view(handle.str()).substr(0, handle.str().size() - domain->size());
  // A handle below another one would let its owner pose as part of it, and needs a certificate of its own.
  if (label.contains('.')) return refuse(xrpc::Error::InvalidHandle, "Invalid characters in handle");
  if (label.size() < k_min_label) return refuse(xrpc::Error::InvalidHandle, "Handle too short");
  if (label.size() > k_max_label) return refuse(xrpc::Error::InvalidHandle, "Handle too long");
  if (is_reserved_label(label)) return refuse(xrpc::Error::HandleNotAvailable, "Reserved handle");
  return {};
}

Handle HandleRules::random(Rng& rng) const {
  constexpr std::string_view alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (;;) {  // each round refuses a few percent at most
    std::string label;
    for (std::size_t i = 0; i < k_random_label; ++i) label.push_back(alphabet[rng.below(36)]);
    const bool digits = std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
    if (digits || is_rude(label) || is_reserved_label(label)) continue;
    return Handle::parse(label + domains_.front()).value();
  }
}

}  // namespace latchkey::pds
