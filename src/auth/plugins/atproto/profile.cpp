#include "auth/plugins/atproto/profile.h"

#include <algorithm>

#include "atproto/syntax/cid_syntax.h"
#include "base/log.h"
#include "base/url.h"

namespace latchkey::auth::bsky {
namespace {

constexpr std::size_t k_max_answer = 256 * 1024;
constexpr std::chrono::milliseconds k_timeout{5000};

std::string text_at(const json::Value& object, std::string_view name) {
  const auto* text = object.string_at(name);
  return text ? *text : std::string();
}

/// The URL of an image the account keeps at its PDS. lexicon com.atproto.sync.getBlob
std::string blob_url(const json::Value& record, std::string_view name, const Did& did,
                     const std::string& pds) {
  const auto* blob = record.find(name);
  if (!blob || !text_at(*blob, "mimeType").starts_with("image/")) return {};
  const auto* ref = blob->find("ref");
  // Records from before 2023 name the CID itself.
  const std::string cid = ref ? text_at(*ref, "$link") : text_at(*blob, "cid");
  if (!CidSyntax::parse(cid)) return {};
  return clean_url(pds + "/xrpc/com.atproto.sync.getBlob?" + encode_form({{"did", did.str()}, {"cid", cid}}));
}

}  // namespace

std::string clean_text(std::string text, std::size_t max, Lines lines) {
  if (!is_valid_utf8(text)) return {};
  std::erase_if(text, [&](char c) {
    const auto b = static_cast<unsigned char>(c);
    return (b < 0x20 && !(lines == Lines::kept && c == '\n')) || b == 0x7f;
  });
  return utf8_prefix(std::move(text), max);
}

std::string clean_url(const std::string& url) {
  if (url.size() > k_max_url) return {};
  const auto parsed = Url::parse(url);
  return parsed && (parsed->scheme == "https" || parsed->scheme == "http") ? url : std::string();
}

std::optional<AtprotoProfile> profile_of_view(const json::Value& view, const Did& did) {
  if (text_at(view, "did") != did.str()) return std::nullopt;
  return AtprotoProfile{
      .did = did,
      .handle = {},
      .display_name = clean_text(text_at(view, "displayName"), k_max_display_name, Lines::joined),
      .description = clean_text(text_at(view, "description"), k_max_description, Lines::kept),
      .avatar = clean_url(text_at(view, "avatar")),
      .banner = clean_url(text_at(view, "banner"))};
}

AtprotoProfile profile_of_record(const json::Value& answer, const Did& did, const std::string& pds) {
  AtprotoProfile profile{
      .did = did, .handle = {}, .display_name = {}, .description = {}, .avatar = {}, .banner = {}};
  const auto* record = answer.find("value");
  if (!record) return profile;
  profile.display_name = clean_text(text_at(*record, "displayName"), k_max_display_name, Lines::joined);
  profile.description = clean_text(text_at(*record, "description"), k_max_description, Lines::kept);
  profile.avatar = blob_url(*record, "avatar", did, pds);
  profile.banner = blob_url(*record, "banner", did, pds);
  return profile;
}

Task<Result<ReadProfile, oauth::client::Fault>> read_profile(oauth::client::Session session) {
  const Did did = session.did();
  CO_TRY(const auto view,
         co_await session.call(
             "GET", "app.bsky.actor.getProfile",
             {.params = {{"actor", did.str()}}, .max_answer = k_max_answer, .timeout = k_timeout}));
  if (view.status == 200)
    if (const auto body = json::parse(view.body))
      if (auto profile = profile_of_view(*body, did))
        co_return ReadProfile{*std::move(profile), ReadProfile::From::view};
  // A PDS without an AppView, or a scope without this method. Records are open to everybody.
  CO_TRY(const auto record,
         co_await session.call(
             "GET", "com.atproto.repo.getRecord",
             {.params = {{"repo", did.str()}, {"collection", "app.bsky.actor.profile"}, {"rkey", "self"}},
              .max_answer = k_max_answer,
              .timeout = k_timeout}));
  const auto body = json::parse(record.status == 200 ? record.body : "null");
  // No record: nothing is said.
  co_return ReadProfile{profile_of_record(body ? *body : json::Value(), did, session.pds()),
                        ReadProfile::From::record};
}

std::string default_name(const AtprotoProfile& p) {
  if (!p.display_name.empty()) return p.display_name;
  return p.handle ? "@" + p.handle->str() : p.did.str();
}

AtprotoUserFields map_profile(const MapAtprotoProfile& map, const AtprotoProfile& p) {
  AtprotoUserFields out{.name = default_name(p), .image = {}};
  if (!p.avatar.empty()) out.image = p.avatar;
  if (!map) return out;
  try {
    out = map(p);
  } catch (const std::exception& e) {
    log::error("map_profile_to_user failed", {{"did", p.did.str()}, {"error", e.what()}});
    return out;
  }
  if (out.name) out.name = clean_text(*std::move(out.name), k_max_display_name, Lines::joined);
  if (out.image) out.image = clean_url(*out.image);
  if (out.name && out.name->empty()) out.name.reset();
  if (out.image && out.image->empty()) out.image.reset();
  return out;
}

}  // namespace latchkey::auth::bsky
