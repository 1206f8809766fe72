// What an account holds, and its end: download, keys of one's own, rest, deletion.

#include "pds/account_archive.h"
#include "pds/repo_access.h"
#include "pds/repo_export.h"
#include "signin/account_parts.h"

namespace latchkey::signin {

Task<web::Response> AccountPages::download_repo(Session at, web::Request request) {
  auto spool = co_await pds::download_repo(&pds_, at.account);
  if (!spool) co_return failed("download_failed");
  co_await note(at, Event::data_downloaded, {}, request);
  auto response = pds::car_response(std::move(spool));
  response.header("content-disposition",
                  fmt::format("attachment; filename=\"{}.car\"", at.account.handle_text()));
  co_return response;
}

Task<web::Response> AccountPages::download_archive(Session at, web::Request request) {
  auto response = co_await pds::download_archive(&pds_, at.account);
  if (!response) co_return failed("download_failed");
  co_await note(at, Event::data_downloaded, {}, request);
  response->header("content-disposition",
                   fmt::format("attachment; filename=\"{}.tar\"", at.account.handle_text()));
  co_return *std::move(response);
}

// --- Keys that may change the DID

// They are in the directory: asked for only where they can be changed, and missing when it does not answer.
Task<void> AccountPages::add_keys(json::Object& view, Session at) {
  json::Array keys;
  if (is_recent(at))
    if (const auto known = co_await pds_.identity().rotation_keys(at.account))
      for (const auto& one : *known)
        keys.push_back(json::Object{{"key", one.did_key},
                                    {"key_of_server", one.owner != pds::RotationKey::Owner::user}});
  view.set("has_keys", !keys.empty()).set("keys", std::move(keys));
}

Task<web::Response> AccountPages::add_rotation_key(Session at, web::Request request) {
  co_return co_await change_rotation_key(std::move(at), std::move(request), Event::rotation_key_added);
}
Task<web::Response> AccountPages::remove_rotation_key(Session at, web::Request request) {
  co_return co_await change_rotation_key(std::move(at), std::move(request), Event::rotation_key_removed);
}

Task<web::Response> AccountPages::change_rotation_key(Session at, web::Request request, Event event) {
  std::string typed = single(at.form, "key").value_or("");
  std::erase_if(typed, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
  const auto key = crypto::PublicKey::from_did_key(typed);
  if (!key) co_return failed("invalid_key");
  const auto changed = event == Event::rotation_key_added
                           ? co_await pds_.identity().add_rotation_key(at.account, *key)
                           : co_await pds_.identity().remove_rotation_key(at.account, *key);
  if (!changed) {
    if (changed.error().code == xrpc::Error::InvalidRequest) co_return failed("key_refused");
    log_failure("rotation key change failed", request, changed.error());
    co_return failed("key_failed");
  }
  co_await note(at, event, typed, request);
  letters_.notify(at.account, {.what = name(event), .detail = typed}, Actor::of(request), at.reader.lang());
  co_return done(event == Event::rotation_key_added ? "key_added" : "key_removed");
}

// --- Rest and end

Task<web::Response> AccountPages::deactivate(Session at, web::Request request) {
  if (const auto ok = co_await pds_.lifecycle().deactivate(at.account, std::nullopt); !ok) {
    log_failure("deactivation failed", request, ok.error());
    co_return failed("deactivate_failed");
  }
  co_await note(at, Event::deactivated, {}, request);
  letters_.notify(at.account, {.what = name(Event::deactivated)}, Actor::of(request), at.reader.lang());
  co_return done("deactivated");
}

Task<web::Response> AccountPages::reactivate(Session at, web::Request request) {
  if (const auto ok = co_await pds_.lifecycle().activate(at.account); !ok) {
    log_failure("activation failed", request, ok.error());
    co_return failed("reactivate_failed");
  }
  co_await note(at, Event::reactivated, {}, request);
  co_return done("reactivated");
}

Task<web::Response> AccountPages::remove_account(Session at, web::Request request) {
  if (single(at.form, "confirm") != "DELETE") co_return failed("confirm_delete");
  const auto to = mail::EmailAddress::parse(at.account.email.value_or(""));
  if (const auto ok = co_await pds_.lifecycle().delete_account(at.account); !ok) {
    log_failure("deletion failed", request, ok.error());
    co_return failed("delete_failed");
  }
  if (to)
    letters_.notify(*to, at.account.handle_text(), {.what = "account_deleted"}, Actor::of(request),
                    at.reader.lang());
  co_return pages_.page(at.reader, "message",
                        {{"title", at.reader.text("account.deleted.title")},
                         {"heading", at.reader.text("account.deleted.title")},
                         {"message", at.reader.text("account.deleted")},
                         {"good", true}});
}

}  // namespace latchkey::signin
