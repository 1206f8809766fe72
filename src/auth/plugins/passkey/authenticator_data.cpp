#include "auth/plugins/passkey/authenticator_data.h"

#include <algorithm>

#include "base/encoding.h"

namespace latchkey::auth::webauthn {
namespace {

// §6.1, "flags".
enum Flag : std::uint8_t { k_up = 0x01, k_uv = 0x04, k_be = 0x08, k_bs = 0x10, k_at = 0x40, k_ed = 0x80 };

std::optional<AttestedCredentialData> read_attested(BytesView& in) {
  AttestedCredentialData out;
  if (in.size() < out.aaguid.size() + 2) return std::nullopt;
  std::ranges::copy(in.first(out.aaguid.size()), out.aaguid.begin());
  in = in.subspan(out.aaguid.size());
  const std::size_t length = std::size_t{in[0]} << 8 | in[1];
  in = in.subspan(2);
  // §7.1 step 25, here because there is no use for a longer one anywhere.
  if (length == 0 || length > k_max_credential_id || length > in.size()) return std::nullopt;
  out.credential_id = in.first(length);
  in = in.subspan(length);
  const auto key = CborMap::read(in);
  if (!key) return std::nullopt;
  out.credential_public_key = key->raw();
  return out;
}

}  // namespace

std::string str(const Aaguid& aaguid) {
  std::string text = hex(aaguid);
  for (const std::size_t at : {20u, 16u, 12u, 8u}) text.insert(at, 1, '-');
  return text;
}

std::optional<AuthenticatorData> AuthenticatorData::parse(BytesView in) {
  if (in.size() < 37) return std::nullopt;
  const std::uint8_t flags = in[32];
  AuthenticatorData out{.rp_id_hash = in.first(32),
                        .up = (flags & k_up) != 0,
                        .uv = (flags & k_uv) != 0,
                        .be = (flags & k_be) != 0,
                        .bs = (flags & k_bs) != 0,
                        .sign_count = std::uint32_t{in[33]} << 24 | std::uint32_t{in[34]} << 16 |
                                      std::uint32_t{in[35]} << 8 | in[36],
                        .attested = {},
                        .extensions = {}};
  in = in.subspan(37);
  if (flags & k_at) {
    out.attested = read_attested(in);
    if (!out.attested) return std::nullopt;
  }
  if (flags & k_ed) {
    out.extensions = CborMap::read(in);
    if (!out.extensions) return std::nullopt;
  }
  if (!in.empty()) return std::nullopt;
  return out;
}

}  // namespace latchkey::auth::webauthn
