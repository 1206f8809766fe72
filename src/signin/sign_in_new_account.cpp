// The account of somebody who signs in here for the first time: whether they may have one, and what they may
// say about it (epds-flows, section 6).

#include "pds/sign_up_policy.h"
#include "signin/audit.h"
#include "signin/sign_in.h"
#include "signin/sign_in_parts.h"

namespace latchkey::signin {
namespace {

using pds::SignUpPolicy;

// How long to wait for the request that is making the same account.
constexpr int k_twin_looks = 13;
constexpr std::chrono::milliseconds k_twin_pause{250};

constexpr std::size_t k_max_typed = 253;  // given back for correction

std::string trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(' ');
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(' ') + 1 - from));
}

std::string typed(const FormFields& form, std::string_view name) {
  return trimmed(single(form, name).value_or(""));
}

}  // namespace

std::string SignIn::sign_up_refusal(const std::string& email) const {
  // For an invite the consent page asks.
  if (options_.sign_up.kind() == SignUpPolicy::Kind::invite) return {};
  const auto address = mail::EmailAddress::parse(email);
  const auto may =
      pds::may_sign_up(options_.sign_up, address ? std::optional(*address) : std::nullopt, std::nullopt);
  return may ? std::string() : may.error().message;
}

std::string SignIn::sign_up_note(const Reader& reader) const {
  switch (options_.sign_up.kind()) {
    case SignUpPolicy::Kind::open:
      return {};
    case SignUpPolicy::Kind::invite:
      return reader.text("signup.invite");
    case SignUpPolicy::Kind::domains:
      return reader.text("signup.domains");
    case SignUpPolicy::Kind::closed:
      return reader.text("signup.closed");
  }
  std::abort();
}

void SignIn::ask_for_account(json::Object& view, const FormFields& form) const {
  view.set("handle_suffix", options_.handle_domain);
  if (auto handle = typed(form, "handle"); !handle.empty() && handle.size() <= k_max_typed)
    view.set("typed_handle", std::move(handle));
  if (options_.sign_up.kind() != SignUpPolicy::Kind::invite) return;
  view.set("invite", true);
  if (auto code = typed(form, "invite_code"); code.size() <= k_max_typed)
    view.set("invite_code", std::move(code));
}

Task<Result<pds::Account, SignIn::NotMade>> SignIn::make_account(std::string email, FormFields form,
                                                                 Actor actor) {
  using xrpc::Error;
  pds::SignUp sign_up{.email = *mail::EmailAddress::parse(email), .email_proof = pds::EmailProof::proven};
  std::string name = typed(form, "handle");
  if (name.starts_with('@')) name.erase(0, 1);
  if (!name.empty()) {
    if (name.find('.') == std::string::npos) name += options_.handle_domain;
    auto handle = Handle::parse(name);
    if (!handle) co_return fail(NotMade{"problem.invalid_handle", {Error::InvalidHandle, "Invalid handle"}});
    sign_up.handle = std::move(*handle);
  }
  // What is not asked for is not spent.
  if (options_.sign_up.kind() == SignUpPolicy::Kind::invite)
    if (auto code = typed(form, "invite_code"); !code.empty()) sign_up.invite_code = std::move(code);
  const bool named = sign_up.handle.has_value(), invited = sign_up.invite_code.has_value();

  auto made = co_await accounts_.create_account(std::move(sign_up));
  if (made) {
    co_await db_.write([&](store::Tx& tx) {
      audit::note(tx, made->did.str(), Event::account_created, "", actor, clock_.now());
    });
    co_return *std::move(made);
  }
  // The button was pressed twice, or the person signs in for the first time in two places: the other request
  // has the address, and with it perhaps the handle and the last use of the invite, and is about to have the
  // account.
  const auto held = [&](store::Tx& tx) { return pds::accounts::holder_of_email(tx, email).has_value(); };
  if (made.error().code != Error::UpstreamFailure && co_await db_.read(held)) {
    for (int i = 0; i < k_twin_looks; ++i) {
      if (i > 0) co_await sleep_for(k_twin_pause);
      if (auto twin = co_await account_of(email)) co_return *std::move(twin);
    }
    co_return fail(NotMade{"", std::move(made).error()});
  }
  const auto words = [&]() -> std::string {
    switch (made.error().code) {
      case Error::InvalidInviteCode:
        return invited ? "problem.invite_refused" : "problem.invite_missing";
      case Error::InvalidHandle:
      case Error::UnsupportedDomain:
        return "problem.invalid_handle";
      case Error::HandleNotAvailable:
        return "problem.handle_taken";
      case Error::InvalidRequest:
        // The address is free, so it was the handle.
        return named ? "problem.handle_taken" : "";
      default:
        return "";
    }
  };
  co_return fail(NotMade{words(), std::move(made).error()});
}

}  // namespace latchkey::signin
