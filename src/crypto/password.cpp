#include "crypto/password.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

using Cost = ScryptCost;
constexpr Cost k_cost{14, 8, 1};
constexpr std::size_t k_salt_bytes = 16, k_hash_bytes = 32;
constexpr std::uint64_t k_max_memory = 64u << 20;

// RFC 7914 §2: the big table takes 128 * N * r bytes, the p blocks 128 * r each.
bool affordable(const Cost& c) {
  if (c.ln < 10 || c.ln > 20 || c.r < 1 || c.r > 32 || c.p < 1 || c.p > 4) return false;
  return 128ull * c.r * ((1ull << c.ln) + c.p) <= k_max_memory;
}

/// Takes "name=123" followed by `end` off the front.
std::optional<unsigned> take_number(std::string_view& text, std::string_view name, char end) {
  if (!text.starts_with(name)) return std::nullopt;
  text.remove_prefix(name.size());
  const auto stop = text.find(end);
  if (stop == std::string_view::npos || stop == 0 || stop > 3 || text[0] == '0') return std::nullopt;
  unsigned value = 0;
  const auto [last, error] = std::from_chars(text.data(), text.data() + stop, value);
  if (error != std::errc() || last != text.data() + stop) return std::nullopt;
  text.remove_prefix(stop + 1);
  return value;
}

struct Stored {
  Cost cost;
  Bytes salt, hash;
};

std::optional<Stored> parse(std::string_view text) {
  constexpr std::string_view prefix = "$scrypt$";
  if (text.size() > 256 || !text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  const auto ln = take_number(text, "ln=", ',');
  if (!ln) return std::nullopt;
  const auto r = take_number(text, "r=", ',');
  if (!r) return std::nullopt;
  const auto p = take_number(text, "p=", '$');
  if (!p) return std::nullopt;
  const auto mid = text.find('$');
  if (mid == std::string_view::npos) return std::nullopt;
  auto salt = from_base64(text.substr(0, mid));
  auto hash = from_base64(text.substr(mid + 1));
  const Cost cost{*ln, *r, *p};
  if (!salt || !hash || salt->size() < 8 || hash->size() < 16 || !affordable(cost)) return std::nullopt;
  return Stored{cost, std::move(*salt), std::move(*hash)};
}

}  // namespace

Bytes scrypt(std::string_view password, BytesView salt, const Cost& c, std::size_t n) {
  Bytes out(n);
  must(EVP_PBE_scrypt(password.data(), password.size(), salt.data(), salt.size(), 1ull << c.ln, c.r, c.p,
                      k_max_memory + (1u << 20), out.data(), out.size()) == 1,
       "scrypt");
  return out;
}

std::string hash_password(std::string_view password, Rng& rng) {
  if (password.size() > k_max_password_bytes) throw std::length_error("hash_password: password too long");
  const Bytes salt = rng.bytes(k_salt_bytes);
  const Bytes hash = scrypt(password, salt, k_cost, k_hash_bytes);
  return fmt::format("$scrypt$ln={},r={},p={}${}${}", k_cost.ln, k_cost.r, k_cost.p, base64_unpadded(salt),
                     base64_unpadded(hash));
}

bool verify_password(std::string_view password, std::string_view stored) {
  if (password.size() > k_max_password_bytes) return false;
  const auto want = parse(stored);
  if (!want) return false;
  return equal(scrypt(password, want->salt, want->cost, want->hash.size()), want->hash);
}

}  // namespace latchkey::crypto
