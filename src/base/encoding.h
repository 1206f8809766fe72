#pragma once
// Text encodings of bytes. Decoders are strict: one text for one value (no padding where none belongs, unused
// bits zero, no white space); std::nullopt otherwise.

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace latchkey {

std::string hex(BytesView);                       // lower-case
std::optional<Bytes> from_hex(std::string_view);  // either case

std::string base64url(BytesView);  // RFC 4648 §5, no padding
std::optional<Bytes> from_base64url(std::string_view);
std::string base64(BytesView);                       // RFC 4648 §4, padded
std::string base64_unpadded(BytesView);              // the `$bytes` form of the data model
std::optional<Bytes> from_base64(std::string_view);  // padded or not

std::string base32(BytesView);                       // RFC 4648 §6 alphabet in lower case, no padding
std::optional<Bytes> from_base32(std::string_view);  // lower-case only

std::string base58btc(BytesView);
std::optional<Bytes> from_base58btc(std::string_view);  // at most 256 characters

}  // namespace latchkey
