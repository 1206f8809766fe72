#pragma once
// What an account says about itself: app.bsky.actor.getProfile where its PDS knows an AppView, else the
// record app.bsky.actor.profile/self. Sources: lexicons app.bsky.actor.defs#profileViewDetailed,
// app.bsky.actor.profile

#include "auth/plugins/atproto/atproto.h"

namespace latchkey::auth::bsky {

inline constexpr std::size_t k_max_display_name = 640;  // bytes, as the lexicon has it
inline constexpr std::size_t k_max_description = 2560;
inline constexpr std::size_t k_max_url = 2048;

/// The answer of getProfile; std::nullopt when it is about somebody else.
std::optional<AtprotoProfile> profile_of_view(const json::Value& view, const Did& did);
/// The answer of getRecord; pictures are blobs of the account's PDS.
AtprotoProfile profile_of_record(const json::Value& answer, const Did& did, const std::string& pds);

struct ReadProfile {
  AtprotoProfile profile;
  /// Whether the server looked at the session for it: records are open to everybody.
  enum class From { view, record } from;
};
/// With the user's session. A Fault: the session ended, or nobody answered as they should.
Task<Result<ReadProfile, oauth::client::Fault>> read_profile(oauth::client::Session session);

/// `text` without control characters (but line breaks where `lines` are kept), valid UTF-8, at most `max`
/// bytes.
enum class Lines { joined, kept };
std::string clean_text(std::string text, std::size_t max, Lines lines);
/// "" for what is no http(s) URL of a bearable length.
std::string clean_url(const std::string& url);

/// The display name, or "@" and the handle, or the DID.
std::string default_name(const AtprotoProfile& profile);
/// Name and picture as the operator maps them, held to the same limits. A map that throws is as good as none.
AtprotoUserFields map_profile(const MapAtprotoProfile& map, const AtprotoProfile& profile);

}  // namespace latchkey::auth::bsky
