#include "pds/identity_service.h"

#include <algorithm>

#include "base/log.h"
#include "pds/call.h"
#include "pds/event_payloads.h"
#include "pds/events.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr int k_rounds = 3;  // of changes that get in each other's way

std::unexpected<Fault> no_answer() {
  return refuse(Error::UpstreamFailure, "The PLC directory does not answer, please try again later");
}

Fault taken_fault(const Handle& handle) {
  return {Error::InvalidRequest, "Handle already taken: " + handle.str()};
}

bool has(const std::vector<std::string>& list, const std::string& text) {
  return std::ranges::find(list, text) != list.end();
}

/// The first at:// name is the handle; others are the owner's business.
plc::Data with_handle(plc::Data data, const Handle& handle) {
  const std::string name = "at://" + handle.str();
  const auto first = std::ranges::find_if(
      data.also_known_as, [](const std::string& known) { return known.starts_with("at://"); });
  if (first == data.also_known_as.end())
    data.also_known_as.insert(data.also_known_as.begin(), name);
  else
    *first = name;
  return data;
}

}  // namespace

IdentityService::IdentityService(Shared shared, const Config& config, const HandleRules& handles,
                                 PlcClient& plc, DidDocs& did_docs, identity::Resolver* resolver)
    : shared_(shared),
      config_(config),
      handles_(handles),
      plc_(plc),
      did_docs_(did_docs),
      resolver_(resolver) {}

Task<Result<IdentityService::Entry, Fault>> IdentityService::entry(Account account) {
  if (account.did.method() != "plc")
    co_return invalid("The DID is not in the PLC directory: " + account.did.str());
  const auto log = co_await plc_.log(account.did);
  if (!log) {
    if (log.error().kind == PlcFault::Kind::unreachable) co_return no_answer();
    co_return invalid("The PLC directory does not know the DID: " + account.did.str());
  }
  const auto newest =
      std::ranges::find_if(log->rbegin(), log->rend(), [](const plc::LogEntry& e) { return !e.nullified; });
  auto data = newest == log->rend() ? std::nullopt : newest->operation.data();
  if (!data) co_return invalid("The DID was deactivated: " + account.did.str());
  co_return Entry{.operation = newest->cid, .data = *std::move(data)};
}

Task<Result<void, Fault>> IdentityService::check_handle(Account account, Handle handle) {
  if (handles_.is_ours(handle.str())) co_return handles_.check(handle);
  if (!resolver_) co_return refuse(Error::UnsupportedDomain, "Not a supported handle domain");
  // The proof is looked at now, not as it was some minutes ago.
  const auto did = co_await resolver_->resolve_handle(handle, identity::Cached::refresh);
  if (!did && did.error().code == identity::Error::disallowed_handle)
    co_return refuse(Error::InvalidHandle, "Handle TLD is invalid or disallowed");
  if (!did || *did != account.did) co_return invalid("External handle did not resolve to DID");
  co_return {};
}

Task<Result<Account, Fault>> IdentityService::change_handle(Account account, Handle handle) {
  CO_TRY_VOID(co_await check_handle(account, handle));
  // Before the directory is bothered; the transaction decides.
  const auto holder =
      co_await shared_.db.read([&](store::Tx& tx) { return accounts::holder_of_handle(tx, handle); });
  if (holder && holder->did != account.did) co_return fail(taken_fault(handle));
  CO_TRY_VOID(co_await apply(
      account, [handle](plc::Data data) -> Result<plc::Data, Fault> { return with_handle(data, handle); },
      handle));
  auto changed = co_await shared_.db.read([&](store::Tx& tx) { return accounts::by_did(tx, account.did); });
  if (!changed) co_return refuse(Error::AccountNotFound, "Account not found");
  co_return *std::move(changed);
}

Task<Result<std::vector<RotationKey>, Fault>> IdentityService::rotation_keys(Account account) {
  CO_TRY(const auto now, co_await entry(account));
  std::vector<RotationKey> out;
  for (const auto& key : now.data.rotation_keys) {
    auto owner = RotationKey::Owner::user;
    if (key == config_.rotation_key.public_key().did_key())
      owner = RotationKey::Owner::server;
    else if (config_.recovery_key && key == config_.recovery_key->did_key())
      owner = RotationKey::Owner::operator_recovery;
    out.push_back({.did_key = key, .owner = owner});
  }
  co_return out;
}

Task<Result<void, Fault>> IdentityService::add_rotation_key(Account account, crypto::PublicKey key) {
  co_return co_await apply(
      account,
      [text = key.did_key()](plc::Data data) -> Result<plc::Data, Fault> {
        if (has(data.rotation_keys, text)) return invalid("This key is a rotation key already");
        if (data.rotation_keys.size() >= k_max_rotation_keys)
          return invalid("There are " + std::to_string(k_max_rotation_keys) + " rotation keys already");
        data.rotation_keys.insert(data.rotation_keys.begin(), text);
        return data;
      },
      std::nullopt);
}

Task<Result<void, Fault>> IdentityService::remove_rotation_key(Account account, crypto::PublicKey key) {
  // Without its own key the server could change nothing any more, not even the handle.
  if (key == config_.rotation_key.public_key() || (config_.recovery_key && key == *config_.recovery_key))
    co_return invalid("This key belongs to the server");
  co_return co_await apply(
      account,
      [text = key.did_key()](plc::Data data) -> Result<plc::Data, Fault> {
        if (std::erase(data.rotation_keys, text) == 0) return invalid("This key is no rotation key");
        return data;
      },
      std::nullopt);
}

Task<Result<void, Fault>> IdentityService::check_entry(Account account, crypto::PublicKey signing_key) {
  CO_TRY(const auto now, co_await entry(account));
  if (!has(now.data.rotation_keys, config_.rotation_key.public_key().did_key()))
    co_return invalid("Server rotation key not included in PLC DID data");
  const auto service = now.data.services.find("atproto_pds");
  if (service == now.data.services.end() || service->second.endpoint != config_.public_url)
    co_return invalid("DID document atproto_pds service endpoint does not match PDS public url");
  const auto key = now.data.verification_methods.find("atproto");
  if (key == now.data.verification_methods.end() || key->second != signing_key.did_key())
    co_return invalid("DID document verificationMethod does not match expected signing key");
  if (account.handle && !has(now.data.also_known_as, "at://" + account.handle->str()))
    co_return invalid("DID document does not claim the handle " + account.handle->str());
  co_return {};
}

Result<void, Fault> IdentityService::store_change(store::Tx& tx, const Did& did,
                                                  const std::optional<Handle>& handle, Time now) {
  auto account = accounts::by_did(tx, did);
  if (!account) return refuse(Error::AccountNotFound, "Account not found");
  repo_heads::lock(tx, account->id);
  if (handle && account->handle != handle) {
    if (const auto holder = accounts::holder_of_handle(tx, *handle); holder && holder->id != account->id)
      return fail(taken_fault(*handle));
    accounts::set_handle(tx, account->id, *handle);
    account->handle = handle;
  }
  events::append(tx, shared_.db.engine(), account->id, EventKind::identity,
                 identity_payload(did, account->handle, now), now);
  return {};
}

Task<Result<void, Fault>> IdentityService::apply(Account account, Change change,
                                                 std::optional<Handle> handle) {
  for (int round = 0; round < k_rounds; ++round) {
    const auto pending =
        co_await shared_.db.read([&](store::Tx& tx) { return plc_updates::get(tx, account.id); });
    if (pending && co_await hand_in(*pending) == Settled::open) co_return no_answer();

    CO_TRY(auto now, co_await entry(account));
    const auto server_key = config_.rotation_key.public_key().did_key();
    if (!has(now.data.rotation_keys, server_key))
      co_return invalid("Server rotation key not included in PLC DID data");
    CO_TRY(auto wanted, change(now.data));
    const Time time = shared_.clock.now();
    if (wanted == now.data) {  // the directory is ahead: only this database has to follow
      auto stored = co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
        if (handle && plc_updates::reserves(tx, *handle)) return fail(taken_fault(*handle));
        return store_change(tx, account.did, handle, time);
      });
      did_docs_.forget(account.did.str());
      co_return stored;
    }

    const auto operation = plc::Operation::sign(
        plc::PlcOperation{.data = std::move(wanted), .prev = now.operation}, config_.rotation_key);
    if (const auto fits = plc::check_incoming(operation); !fits) co_return invalid(fits.error().detail);
    const PlcUpdate update{.account_id = account.id,
                           .did = account.did,
                           .operation = json::Value(operation.to_json()).dump(),
                           .handle = handle};
    // 1. Write down and reserve.
    const auto begun =
        co_await shared_.db.write([&](store::Tx& tx) { return plc_updates::begin(tx, update, time); });
    if (!begun) {
      if (begun.error() == plc_updates::Taken::busy) continue;
      if (begun.error() == plc_updates::Taken::handle) co_return fail(taken_fault(*handle));
      co_return refuse(Error::AccountNotFound, "Account not found");
    }
    // 2., 3.
    switch (co_await hand_in(update)) {
      case Settled::done:
        co_return {};
      case Settled::open:
        co_return no_answer();
      case Settled::refused:  // somebody else's operation may have come in between
        break;
    }
  }
  co_return refuse(Error::UpstreamFailure, "The PLC directory refused the change");
}

Task<IdentityService::Settled> IdentityService::hand_in(PlcUpdate update) {
  auto operation = plc::Operation::parse(update.operation);
  if (!operation) throw std::runtime_error("a stored PLC operation is damaged: " + update.did.str());
  const auto appended = co_await plc_.append(update.did, *std::move(operation));
  if (!appended && appended.error().kind == PlcFault::Kind::unreachable) {
    log::warn("a change is waiting for the PLC directory",
              {{"did", update.did.str()}, {"detail", appended.error().detail}});
    co_return Settled::open;
  }
  if (!appended)
    log::warn("the PLC directory refused a change",
              {{"did", update.did.str()}, {"detail", appended.error().detail}});
  const Time now = shared_.clock.now();
  const auto lost = co_await shared_.db.write([&](store::Tx& tx) -> std::optional<std::string> {
    // Another process may have done the same, or the account is gone: then there is nothing left to do.
    if (!plc_updates::remove(tx, update) || !appended) return std::nullopt;
    const auto stored = store_change(tx, update.did, update.handle, now);
    return stored ? std::nullopt : std::optional(stored.error().message);
  });
  // Reserved handles are not given away. Should it happen all the same, it must not stop the next start.
  if (lost)
    log::error("a change is in the PLC directory but not here", {{"did", update.did.str()}, {"why", *lost}});
  did_docs_.forget(update.did.str());
  if (resolver_) {
    resolver_->forget(update.did);
    if (update.handle) resolver_->forget(*update.handle);
  }
  co_return appended ? Settled::done : Settled::refused;
}

Task<std::size_t> IdentityService::resume_unfinished(Unfinished which) {
  const Time until = begun_until(which, shared_.clock.now());
  const auto found =
      co_await shared_.db.read([until](store::Tx& tx) { return plc_updates::unfinished(tx, until); });
  std::size_t open = 0;
  for (const auto& update : found)
    if (co_await hand_in(update) == Settled::open) ++open;
  if (!found.empty())
    log::info("took up unfinished PLC changes",
              {{"found", std::to_string(found.size())}, {"open", std::to_string(open)}});
  co_return open;
}

}  // namespace latchkey::pds
