// What browsers and authenticators send: CBOR, authenticator data, COSE keys, and the JSON around them.
#include <algorithm>
#include <cstdlib>

#include "auth/plugins/passkey/ceremony_json.h"
#include "base/json.h"

using namespace latchkey;
using namespace latchkey::auth;

namespace {
void require(bool ok) {
  if (!ok) std::abort();
}
bool within(BytesView part, BytesView whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}
void look_at(BytesView in) {
  if (const auto map = webauthn::CborMap::parse(in)) {
    require(std::ranges::equal(map->raw(), in) && map->size() <= webauthn::k_cbor_members);
    for (const std::string_view key : {"fmt", "attStmt", "authData"}) {
      const auto* item = map->find(key);
      if (!item) continue;
      require(within(item->raw, in) && within(item->data, item->raw));
      if (const auto bytes = item->bytes()) (void)webauthn::AuthenticatorData::parse(*bytes);
    }
  }
  if (const auto data = webauthn::AuthenticatorData::parse(in)) {
    std::size_t size = 37;
    if (data->attested) {
      const auto& a = *data->attested;
      require(within(a.credential_id, in) && !a.credential_id.empty() &&
              a.credential_id.size() <= webauthn::k_max_credential_id);
      size += 16 + 2 + a.credential_id.size() + a.credential_public_key.size();
    }
    if (data->extensions) size += data->extensions->raw().size();
    require(size == in.size());
  }
  (void)webauthn::CredentialPublicKey::parse(in);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView in(data, size);
  look_at(in);
  // The same bytes as every part of an answer, and as the answer in JSON: nothing is proven by accident.
  const webauthn::RelyingParty rp{.id = "example.org", .origins = {"https://example.org"}};
  const Bytes challenge(32, 7), all = to_bytes(in);
  const auto client_data = to_bytes(
      R"({"type":"webauthn.create","challenge":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","origin":"https://example.org"})");
  (void)webauthn::verify_registration(rp, challenge, {all, client_data, all});
  require(!webauthn::verify_registration(rp, challenge, {all, all, all}));
  const webauthn::CredentialRecord record{all, all, 0, false, {}};
  require(!webauthn::verify_assertion(rp, challenge, {all, all, all, all, {}}, record,
                                      webauthn::UserIdentified::before));
  if (const auto value = json::parse(as_text(in))) {
    (void)webauthn::parse_registration_response(*value);
    (void)webauthn::parse_authentication_response(*value);
  }
  return 0;
}
