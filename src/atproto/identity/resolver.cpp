#include "atproto/identity/resolver.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

#include "base/json.h"
#include "base/url.h"

namespace latchkey::identity {
namespace {

/// https://atproto.com/specs/handle#additional-non-syntax-restrictions
bool tld_allowed(const Handle& handle, bool development) {
  return !handle.has_disallowed_tld() && (development || handle.tld() != "test");
}

std::string_view trim(std::string_view s) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = s.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(space) - first + 1);
}

Fault from(FetchError error) { return {Error::unreachable, std::move(error.detail)}; }

/// did:plc:<24 characters of base32>
bool is_plc_identifier(std::string_view id) {
  return id.size() == 24 &&
         std::ranges::all_of(id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); });
}

/// Answers worth remembering. Network trouble is not: the next attempt may be fine.
bool is_final(Error e) {
  switch (e) {
    case Error::not_found:
    case Error::deactivated:
    case Error::ambiguous:
    case Error::invalid_document:
    case Error::mismatch:
      return true;
    case Error::unsupported_method:  // costs nothing to find out again
    case Error::disallowed_handle:
    case Error::unreachable:
      return false;
  }
  return false;
}

/// Least recently used goes first.
template <class T>
class Cache {
 public:
  explicit Cache(std::size_t max_entries) : max_entries_(max_entries) {}

  std::optional<Result<T, Fault>> get(const std::string& key, Time now) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    if (found->second->expires_at <= now) {
      entries_.erase(found->second);
      index_.erase(found);
      return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }
  void put(const std::string& key, Result<T, Fault> value, Time expires_at) {
    std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) {
      entries_.erase(found->second);
      index_.erase(found);
    }
    if (max_entries_ == 0) return;
    if (entries_.size() >= max_entries_) {
      index_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, std::move(value), expires_at});
    index_.emplace(key, entries_.begin());
  }
  void erase(const std::string& key) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    entries_.erase(found->second);
    index_.erase(found);
  }

 private:
  struct Entry {
    std::string key;
    Result<T, Fault> value;
    Time expires_at;
  };
  std::mutex mutex_;
  std::size_t max_entries_;
  std::list<Entry> entries_;
  std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
};

}  // namespace

struct Resolver::Caches {
  explicit Caches(std::size_t max_entries) : documents(max_entries), handles(max_entries) {}
  Cache<DidDocument> documents;
  Cache<Did> handles;
};

Resolver::Resolver(ResolverOptions options, Fetch& fetch, TxtLookup* dns, const Clock& clock)
    : options_(std::move(options)),
      fetch_(fetch),
      dns_(dns),
      clock_(clock),
      caches_(std::make_unique<Caches>(options_.max_entries)) {}
Resolver::~Resolver() = default;

void Resolver::forget(const Did& did) { caches_->documents.erase(did.str()); }
void Resolver::forget(const Handle& handle) { caches_->handles.erase(handle.str()); }

Task<Result<DidDocument, Fault>> Resolver::resolve_did(Did did, Cached cached) {
  const std::string key = did.str();
  if (cached == Cached::allow)
    if (auto known = caches_->documents.get(key, clock_.now())) co_return *std::move(known);
  auto result = co_await fetch_document(std::move(did));
  if (result || is_final(result.error().code))
    caches_->documents.put(key, result, clock_.now() + (result ? options_.ttl : options_.negative_ttl));
  co_return result;
}

Task<Result<DidDocument, Fault>> Resolver::fetch_document(Did did) {
  const std::string text = did.str();
  std::string url;
  if (text.starts_with("did:plc:")) {
    if (!is_plc_identifier(std::string_view(text).substr(8)))
      co_return fail(Fault{Error::not_found, "not a did:plc identifier"});
    url = options_.plc_url + "/" + text;
  } else if (text.starts_with("did:web:")) {
    // "only hostname-level did:web DIDs are supported: path-based DIDs are not supported"
    const std::string host = text.substr(8);
    if (options_.development && (host == "localhost" || host.starts_with("localhost%3A"))) {
      const auto authority = percent_decode(host);
      if (!authority) co_return fail(Fault{Error::unsupported_method, "broken escape in did:web"});
      url = "http://" + *authority + "/.well-known/did.json";
      if (!Url::parse(url)) co_return fail(Fault{Error::unsupported_method, "not a host"});
    } else {
      const auto name = Handle::parse(host);
      if (!name || name->str() != host || !tld_allowed(*name, options_.development))
        co_return fail(Fault{Error::unsupported_method, "did:web of something else than a host name"});
      url = "https://" + host + "/.well-known/did.json";
    }
  } else {
    co_return fail(Fault{Error::unsupported_method, "neither did:plc nor did:web"});
  }

  auto answer = co_await fetch_.fetch({.method = "GET",
                                       .url = url,
                                       .headers = {{"Accept", "application/did+ld+json, application/json"}},
                                       .body = {},
                                       .max_body = k_max_document_bytes,
                                       .timeout = options_.timeout});
  if (!answer) co_return fail(from(std::move(answer).error()));
  if (answer->status == 404) co_return fail(Fault{Error::not_found, "404 from " + url});
  if (answer->status == 410) co_return fail(Fault{Error::deactivated, "410 from " + url});
  if (answer->status != 200)
    co_return fail(Fault{Error::unreachable, std::to_string(answer->status) + " from " + url});
  auto document = DidDocument::parse(did, answer->body);
  if (!document) co_return fail(Fault{Error::invalid_document, document.error().message});
  co_return *std::move(document);
}

Task<Result<Did, Fault>> Resolver::resolve_handle(Handle handle, Cached cached) {
  const std::string key = handle.str();
  if (!tld_allowed(handle, options_.development))
    co_return fail(Fault{Error::disallowed_handle, "reserved top-level domain"});
  if (cached == Cached::allow)
    if (auto known = caches_->handles.get(key, clock_.now())) co_return *std::move(known);
  auto result = co_await look_up_handle(std::move(handle));
  if (result || is_final(result.error().code))
    caches_->handles.put(key, result, clock_.now() + (result ? options_.ttl : options_.negative_ttl));
  co_return result;
}

// DNS first: "the DNS TXT result should be preferred" when the two disagree.
Task<Result<Did, Fault>> Resolver::look_up_handle(Handle handle) {
  if (options_.dev_handle_host) {
    auto known = co_await ask_host(handle, *options_.dev_handle_host);
    if (known) co_return known;
  }
  auto dns = co_await ask_dns(handle);
  if (dns || dns.error().code == Error::ambiguous) co_return dns;
  auto web = co_await ask_well_known(std::move(handle));
  // When DNS could not be asked, "no" from the web server is not the last word.
  if (!web && web.error().code == Error::not_found && dns.error().code == Error::unreachable) co_return dns;
  co_return web;
}

Task<Result<Did, Fault>> Resolver::ask_dns(Handle handle) {
  const std::string name = "_atproto." + handle.str();
  if (!dns_ || name.size() > 253) co_return fail(Fault{Error::not_found, "no DNS lookup for this name"});
  auto records = co_await dns_->txt(name);
  if (!records) co_return fail(from(std::move(records).error()));
  std::optional<Did> found;
  for (const auto& record : *records) {
    if (!record.starts_with("did=")) continue;
    auto did = Did::parse(std::string_view(record).substr(4));
    if (!did) continue;
    // "If multiple valid records with different DIDs are present, resolution should fail."
    if (found && *found != *did) co_return fail(Fault{Error::ambiguous, "several DIDs at " + name});
    found = *std::move(did);
  }
  if (!found) co_return fail(Fault{Error::not_found, "no DID at " + name});
  co_return *std::move(found);
}

Task<Result<Did, Fault>> Resolver::ask_well_known(Handle handle) {
  const std::string url = "https://" + handle.str() + "/.well-known/atproto-did";
  auto answer = co_await fetch_.fetch({.method = "GET",
                                       .url = url,
                                       .headers = {{"Accept", "text/plain"}},
                                       .body = {},
                                       .max_body = 4096,
                                       .timeout = options_.timeout});
  if (!answer) {
    // A longer answer is some page, not a DID.
    if (answer.error().kind == FetchError::Kind::too_large)
      co_return fail(Fault{Error::not_found, "no DID at " + url});
    co_return fail(from(std::move(answer).error()));
  }
  if (answer->status >= 500)
    co_return fail(Fault{Error::unreachable, std::to_string(answer->status) + " from " + url});
  if (answer->status < 200 || answer->status > 299)
    co_return fail(Fault{Error::not_found, std::to_string(answer->status) + " from " + url});
  auto did = Did::parse(trim(answer->body));
  if (!did) co_return fail(Fault{Error::not_found, "no DID at " + url});
  co_return *std::move(did);
}

Task<Result<Did, Fault>> Resolver::ask_host(Handle handle, std::string origin) {
  auto answer = co_await fetch_.fetch(
      {.method = "GET",
       .url = origin + "/xrpc/com.atproto.identity.resolveHandle?handle=" + percent_encode(handle.str()),
       .headers = {{"Accept", "application/json"}},
       .body = {},
       .max_body = 8192,
       .timeout = options_.timeout});
  if (!answer) co_return fail(from(std::move(answer).error()));
  if (answer->status != 200) co_return fail(Fault{Error::not_found, "the host does not know this handle"});
  const auto json = json::parse(answer->body);
  const auto* text = json ? json->string_at("did") : nullptr;
  if (!text) co_return fail(Fault{Error::not_found, "the host's answer has no did"});
  auto did = Did::parse(*text);
  if (!did) co_return fail(Fault{Error::not_found, "the host's answer is not a DID"});
  co_return *std::move(did);
}

Task<Result<Identity, Fault>> Resolver::identify(Handle handle, Cached cached) {
  CO_TRY(auto did, co_await resolve_handle(handle, cached));
  CO_TRY(auto document, co_await resolve_did(did, cached));
  if (document.handle() == handle) co_return Identity{std::move(document), std::move(handle)};
  // A handle that moved lately: what is cached may be older than the other half.
  if (cached == Cached::allow) co_return co_await identify(std::move(handle), Cached::refresh);
  co_return fail(Fault{Error::mismatch, "the DID document does not claim this handle"});
}

Task<Result<Identity, Fault>> Resolver::identify(Did did, Cached cached) {
  CO_TRY(auto document, co_await resolve_did(did, cached));
  auto claimed = document.handle();
  if (claimed) {
    const auto points_at = co_await resolve_handle(*claimed, cached);
    if (!points_at || *points_at != did) claimed.reset();
  }
  co_return Identity{std::move(document), std::move(claimed)};
}

Task<Result<Identity, Fault>> Resolver::identify_text(std::string text, Cached cached) {
  std::string_view rest = trim(text);
  if (rest.starts_with("at://")) rest.remove_prefix(5);
  if (rest.starts_with('@')) rest.remove_prefix(1);
  if (auto did = Did::parse(rest)) co_return co_await identify(*std::move(did), cached);
  if (auto handle = Handle::parse(rest)) co_return co_await identify(*std::move(handle), cached);
  co_return fail(Fault{Error::not_found, "neither a handle nor a DID"});
}

}  // namespace latchkey::identity
