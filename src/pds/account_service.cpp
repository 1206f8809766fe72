#include "pds/account_service.h"

#include <algorithm>

#include "atproto/plc/operation.h"
#include "atproto/repo/engine.h"
#include "base/log.h"
#include "crypto/password.h"
#include "pds/event_payloads.h"
#include "pds/events.h"
#include "pds/plc_updates.h"
#include "pds/repo_heads.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::size_t k_max_password = 256;
constexpr int k_random_handle_tries = 3;
constexpr std::chrono::minutes k_abandoned_after{1};

std::unexpected<Fault> refuse(Error code, std::string message, std::string detail = {}) {
  return fail(Fault{.code = code, .message = std::move(message), .detail = std::move(detail)});
}

/// Code points of UTF-8; a password of 256 of them is at most k_max_password_bytes.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Fault taken_fault(accounts::Taken taken, const SignUp& sign_up, const Handle& handle) {
  switch (taken) {
    case accounts::Taken::handle:
      return {Error::InvalidRequest, "Handle already taken: " + handle.str()};
    case accounts::Taken::email:
      return {Error::InvalidRequest,
              "Email already taken: " +
                  (sign_up.email_as_typed.empty() ? sign_up.email->str() : sign_up.email_as_typed)};
    case accounts::Taken::did:
      return {Error::InternalServerError, ""};  // a hash collision of fresh keys
  }
  std::abort();
}

Fault not_invited() { return {Error::InvalidInviteCode, "Provided invite code not available"}; }

}  // namespace

struct AccountService::Prepared {
  accounts::NewAccount account;
  std::string operation;
  RepoHead head;
  Bytes blocks;
};

/// Marks a creation as being worked on, for as long as it lives.
class AccountService::InFlight {
 public:
  InFlight(AccountService& service, Did did) : service_(service), did_(std::move(did)) {
    std::lock_guard lock(service.in_flight_mutex_);
    mine_ = service.in_flight_.insert(did_).second;
  }
  ~InFlight() {
    if (!mine_) return;
    std::lock_guard lock(service_.in_flight_mutex_);
    service_.in_flight_.erase(did_);
  }
  InFlight(const InFlight&) = delete;
  bool mine() const { return mine_; }

 private:
  AccountService& service_;
  Did did_;
  bool mine_;
};

AccountService::AccountService(Shared shared, const Config& config, const HandleRules& handles,
                               const crypto::Sealer& sealer, PlcClient& plc, RepoService& repos)
    : shared_(shared),
      config_(config),
      handles_(handles),
      sealer_(sealer),
      plc_(plc),
      repos_(repos),
      invites_(config.public_url, config.magic_invite_code) {}

AccountService::Prepared AccountService::prepare(const SignUp& sign_up, const Handle& handle) {
  const auto signing_key = crypto::PrivateKey::generate(crypto::Curve::k256, shared_.rng);

  // The order is one of power: the user's own key may undo what the server's does.
  std::vector<std::string> rotation_keys;
  const auto add = [&](const crypto::PublicKey& key) {
    const auto text = key.did_key();
    if (std::ranges::find(rotation_keys, text) == rotation_keys.end()) rotation_keys.push_back(text);
  };
  if (sign_up.recovery_key) add(*sign_up.recovery_key);
  if (config_.recovery_key) add(*config_.recovery_key);
  add(config_.rotation_key.public_key());

  const auto operation = plc::Operation::sign(
      plc::PlcOperation{.data = plc::atproto_data(std::move(rotation_keys), signing_key.public_key(),
                                                  handle.str(), config_.public_url),
                        .prev = std::nullopt},
      config_.rotation_key);
  const Did did = plc::did_of(operation);

  const auto first = repo::apply({.did = did, .tree = {}}, {}, repos_.next_tid(), signing_key);
  if (!first) throw std::logic_error("the first commit was refused: " + first.error().detail);

  const auto secret = signing_key.bytes();
  return Prepared{
      .account = {.did = did,
                  .handle = handle,
                  .email = sign_up.email ? std::optional(sign_up.email->str()) : std::nullopt,
                  .email_confirmed_at = sign_up.email && sign_up.email_proof == EmailProof::proven
                                            ? std::optional(shared_.clock.now())
                                            : std::nullopt,
                  .password_scrypt = std::nullopt,
                  .sealed_signing_key = sealer_.seal(secret.reveal(), signing_key_context(did), shared_.rng)},
      .operation = json::Value(operation.to_json()).dump(),
      .head = {.rev = first->rev.str(), .commit = first->commit, .data = first->data, .block = first->block},
      .blocks = first->car()};
}

Time begun_until(Unfinished which, Time now) {
  return which == Unfinished::all ? now : now - k_abandoned_after;
}

Result<void, Fault> check_new_password(const Config& config, const Secret<std::string>& password) {
  const auto size = characters(password.reveal());
  if (size > k_max_password)
    return refuse(Error::InvalidPassword,
                  "Password too long. Maximum length is " + std::to_string(k_max_password) + " characters.");
  if (size < config.min_password_length)
    return refuse(Error::InvalidPassword, "Password too short. Minimum length is " +
                                              std::to_string(config.min_password_length) + " characters.");
  return {};
}

Task<Result<Account, Fault>> AccountService::create_account(SignUp sign_up) {
  CO_TRY_VOID(may_sign_up(config_.sign_up, sign_up.email, sign_up.invite_code));
  // Anybody can type an address of an allowed domain.
  if (config_.sign_up.kind() == SignUpPolicy::Kind::domains && sign_up.email_proof != EmailProof::proven)
    co_return refuse(Error::InvalidRequest,
                     "This server asks for a confirmed email: sign up on its sign-in page");
  if (sign_up.handle) CO_TRY_VOID(handles_.check(*sign_up.handle));
  if (sign_up.password) CO_TRY_VOID(check_new_password(config_, *sign_up.password));

  // Before the expensive part; the insert decides.
  struct Holders {
    std::optional<Account> handle, email;
    bool invited = true;
  };
  auto holders = co_await shared_.db.read([&](store::Tx& tx) {
    Holders h;
    if (sign_up.invite_code) h.invited = invites_.is_good(tx, *sign_up.invite_code);
    if (sign_up.handle) h.handle = accounts::holder_of_handle(tx, *sign_up.handle);
    if (sign_up.email) h.email = accounts::holder_of_email(tx, sign_up.email->str());
    return h;
  });
  if (!holders.invited) co_return fail(not_invited());
  const bool handle_open = co_await settle_holder(holders.handle);
  const bool email_open = co_await settle_holder(holders.email);
  if (!handle_open) co_return fail(taken_fault(accounts::Taken::handle, sign_up, *sign_up.handle));
  if (!email_open) co_return fail(taken_fault(accounts::Taken::email, sign_up, Handle::invalid()));

  std::optional<std::string> password_scrypt;
  if (sign_up.password)
    password_scrypt = co_await run_on(&shared_.passwords, [this, password = *sign_up.password] {
      return crypto::hash_password(password.reveal(), shared_.rng);
    });

  if (sign_up.handle) co_return co_await create_with(sign_up, *sign_up.handle, password_scrypt);
  for (int tries = 1;; ++tries) {
    const Handle handle = handles_.random(shared_.rng);
    const bool taken = co_await shared_.db.read([&](store::Tx& tx) {
      return accounts::holder_of_handle(tx, handle) || plc_updates::reserves(tx, handle);
    });
    if (taken && tries < k_random_handle_tries) continue;
    co_return co_await create_with(sign_up, handle, password_scrypt);
  }
}

Task<bool> AccountService::settle_holder(std::optional<Account> holder) {
  if (!holder) co_return true;
  if (holder->activated_at) co_return false;
  co_return co_await settle(*holder) == Settled::removed;
}

Task<Result<Account, Fault>> AccountService::create_with(SignUp sign_up, Handle handle,
                                                         std::optional<std::string> password_scrypt) {
  auto prepared = prepare(sign_up, handle);
  prepared.account.password_scrypt = std::move(password_scrypt);
  const Did did = prepared.account.did;
  const Time now = shared_.clock.now();
  InFlight mark(*this, did);  // before the row can be seen

  // 1. Reserve.
  auto begun = co_await shared_.db.write([&](store::Tx& tx) -> Result<std::int64_t, Fault> {
    // An account that is about to be called this.
    if (plc_updates::reserves(tx, handle)) return fail(taken_fault(accounts::Taken::handle, sign_up, handle));
    const auto id = accounts::begin_creation(tx, prepared.account, prepared.operation, prepared.head,
                                             prepared.blocks, now);
    if (!id) return fail(taken_fault(id.error(), sign_up, handle));
    if (sign_up.invite_code && !invites_.spend(tx, *sign_up.invite_code, *id, now))
      return fail(not_invited());
    return *id;
  });
  if (!begun) co_return fail(std::move(begun).error());

  // 2., 3.
  const Settled settled = co_await hand_in(*begun);
  if (auto account = co_await find(did)) co_return *std::move(account);
  if (settled == Settled::open)
    co_return refuse(Error::UpstreamFailure, "The PLC directory does not answer, please try again later");
  co_return refuse(Error::UpstreamFailure, "The PLC directory refused the new account");
}

Task<AccountService::Settled> AccountService::settle(Account unfinished) {
  InFlight mark(*this, unfinished.did);
  if (!mark.mine()) co_return Settled::open;
  co_return co_await hand_in(unfinished.id);
}

Task<AccountService::Settled> AccountService::hand_in(std::int64_t id) {
  auto creation = co_await shared_.db.read([id](store::Tx& tx) { return accounts::creation(tx, id); });
  if (!creation) co_return Settled::removed;  // by another process, or finished: who asked will see

  const std::string did = creation->account.did.str();
  auto submitted = co_await plc_.submit(did, creation->operation);
  if (submitted) co_return co_await finish(*std::move(creation)) ? Settled::finished : Settled::removed;
  if (submitted.error().kind == PlcFault::Kind::unreachable) {
    log::warn("account creation is waiting for the PLC directory",
              {{"did", did}, {"detail", submitted.error().detail}});
    co_return Settled::open;
  }
  log::error("the PLC directory refused a new account", {{"did", did}, {"detail", submitted.error().detail}});
  co_await shared_.db.write([id](store::Tx& tx) {
    if (accounts::abandon_creation(tx, id)) invites::give_back(tx, id);
  });
  co_return Settled::removed;
}

Task<bool> AccountService::finish(Creation creation) {
  const Time now = shared_.clock.now();
  const Account& account = creation.account;
  const Bytes identity = identity_payload(account.did, account.handle, now);
  const Bytes status = account_payload(account.did, std::nullopt, now);
  const Bytes commit = first_commit_payload(account.did, creation.head, creation.blocks, now);
  const Bytes sync = sync_payload(account.did, creation.head, now);
  co_return co_await shared_.db.write([&](store::Tx& tx) {
    // Another process may have done the same; its events are enough.
    if (!accounts::finish_creation(tx, account.id, now)) return accounts::by_did(tx, account.did).has_value();
    repo_heads::insert(tx, account.id, creation.head);
    const auto engine = shared_.db.engine();
    events::append(tx, engine, account.id, EventKind::identity, identity, now);
    events::append(tx, engine, account.id, EventKind::account, status, now);
    events::append(tx, engine, account.id, EventKind::commit, commit, now);
    events::append(tx, engine, account.id, EventKind::sync, sync, now);
    return true;
  });
}

Task<std::size_t> AccountService::resume_unfinished(Unfinished which) {
  const Time until = begun_until(which, shared_.clock.now());
  const auto found =
      co_await shared_.db.read([until](store::Tx& tx) { return accounts::unfinished(tx, until); });
  std::size_t open = 0;
  for (const auto& account : found)
    if (co_await settle(account) == Settled::open) ++open;
  if (!found.empty())
    log::info("took up unfinished account creations",
              {{"found", std::to_string(found.size())}, {"open", std::to_string(open)}});
  co_return open;
}

Task<std::optional<Account>> AccountService::find(AtIdentifier id) {
  co_return co_await shared_.db.read([&](store::Tx& tx) { return accounts::by_identifier(tx, id); });
}

Task<std::optional<Account>> AccountService::find_by_email(mail::EmailAddress email) {
  co_return co_await shared_.db.read([&](store::Tx& tx) { return accounts::by_email(tx, email.str()); });
}

}  // namespace latchkey::pds
