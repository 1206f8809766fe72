#include "atproto/lexicon/network_resolver.h"

#include <algorithm>
#include <array>

#include "atproto/cbor/cbor.h"
#include "atproto/cbor/json.h"
#include "atproto/repo/export.h"
#include "base/url.h"

namespace latchkey::lexicon {
namespace {

constexpr std::string_view k_collection = "com.atproto.lexicon.schema";

std::unexpected<LexiconError> failed(Error code, std::string detail) {
  return fail(LexiconError{code, std::move(detail)});
}

Error from(FetchError::Kind kind) {
  switch (kind) {
    case FetchError::Kind::unreachable:
    case FetchError::Kind::timeout:
    case FetchError::Kind::stopped:
      return Error::unreachable;
    case FetchError::Kind::refused_by_guard:
    case FetchError::Kind::too_large:
    case FetchError::Kind::bad_answer:
      return Error::invalid;
  }
  return Error::invalid;
}

Error from(identity::Error code) {
  switch (code) {
    case identity::Error::unreachable:
      return Error::unreachable;
    case identity::Error::not_found:
    case identity::Error::deactivated:
      return Error::not_found;
    case identity::Error::unsupported_method:
    case identity::Error::invalid_document:
    case identity::Error::ambiguous:
    case identity::Error::mismatch:
    case identity::Error::disallowed_handle:
      return Error::invalid;
  }
  return Error::invalid;
}

// What a PDS says when the record or its repository is not there. Everything else is trouble of its own.
bool says_not_found(const FetchResponse& answer) {
  constexpr std::array names{"RecordNotFound", "RepoNotFound", "RepoTakendown", "RepoSuspended",
                             "RepoDeactivated"};
  const auto body = json::parse(answer.body, {.max_depth = 8});
  const std::string* error = body ? body->string_at("error") : nullptr;
  return error && std::ranges::find(names, *error) != names.end();
}

// The record must say itself what it is: a repository may hold anything under any key.
Result<Resolved, LexiconError> check(BytesView car, const Nsid& nsid, const Did& did,
                                     const crypto::PublicKey& key) {
  const std::string path = std::string(k_collection) + "/" + nsid.str();
  const auto proven = repo::verify_proof_car(car, did, key, path);
  if (!proven) return failed(Error::invalid, proven.error().message);
  if (!proven->record) return failed(Error::not_found, "the repository has no such record");
  const auto value = cbor::decode(proven->record->bytes);
  if (!value) return failed(Error::invalid, "the record is not DAG-CBOR");
  json::Value document = cbor::to_json(*value);
  const std::string *type = document.string_at("$type"), *id = document.string_at("id");
  if (!type || *type != k_collection) return failed(Error::invalid, "the record is no lexicon");
  if (!id || *id != nsid.str()) return failed(Error::invalid, "the record is another lexicon");
  const json::Value* version = document.find("lexicon");
  if (!version || !version->integer() || *version->integer() != 1)
    return failed(Error::invalid, "not version 1 of the lexicon language");
  return Resolved{nsid, did, proven->record->cid, "at://" + did.str() + "/" + path, std::move(document)};
}

}  // namespace

// "To link the authority to a specific DID, a DNS TXT record with the name `_lexicon.<authority>` and value
// `did=<did>`". Not hierarchical: no other name is asked.
Task<Result<Did, LexiconError>> NetworkResolver::authority_of(Nsid nsid) {
  const std::string name = "_lexicon." + nsid.authority();
  if (name.size() > 253) co_return failed(Error::not_found, "the authority is no domain name");
  const auto records = co_await dns_.txt(name);
  if (!records) co_return failed(from(records.error().kind), records.error().detail);
  const std::string* value = nullptr;
  for (const auto& record : *records) {
    if (!record.starts_with("did=")) continue;
    if (value) co_return failed(Error::invalid, "more than one DID at " + name);
    value = &record;
  }
  if (!value) co_return failed(Error::not_found, "no DID at " + name);
  auto did = Did::parse(std::string_view(*value).substr(4));
  if (!did) co_return failed(Error::invalid, "not a DID at " + name);
  co_return *std::move(did);
}

Task<Result<Resolved, LexiconError>> NetworkResolver::resolve(Nsid nsid) {
  CO_TRY(const Did did, co_await authority_of(nsid));
  const auto cached = co_await identities_.resolve_did(did);
  if (!cached) co_return failed(from(cached.error().code), cached.error().detail);
  auto result = co_await fetch_record(nsid, *cached);
  if (result) co_return result;
  // The account may have moved, or changed its key, after its document was cached.
  const auto fresh = co_await identities_.resolve_did(did, identity::Cached::refresh);
  if (!fresh || (fresh->pds() == cached->pds() && fresh->signing_key() == cached->signing_key()))
    co_return result;
  co_return co_await fetch_record(nsid, *fresh);
}

Task<Result<Resolved, LexiconError>> NetworkResolver::fetch_record(Nsid nsid,
                                                                   identity::DidDocument document) {
  const auto pds = document.pds();
  const auto key = document.signing_key();
  if (!pds || !key) co_return failed(Error::invalid, "the DID document has no PDS or no key");
  FetchRequest request{.url = *pds + "/xrpc/com.atproto.sync.getRecord?" +
                              encode_form({{"did", document.id.str()},
                                           {"collection", std::string(k_collection)},
                                           {"rkey", nsid.str()}}),
                       .headers = {{"Accept", "application/vnd.ipld.car"}},
                       .max_body = repo::k_max_proof_bytes,
                       .timeout = options_.timeout};
  const auto answer = co_await fetch_.fetch(std::move(request));
  if (!answer) co_return failed(from(answer.error().kind), answer.error().detail);
  if (answer->status != 200)
    co_return failed(says_not_found(*answer) ? Error::not_found : Error::unreachable,
                     std::to_string(answer->status) + " from " + *pds);
  co_return check(as_bytes(answer->body), nsid, document.id, *key);
}

}  // namespace latchkey::lexicon
