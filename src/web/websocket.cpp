#include "web/websocket.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/encoding.h"
#include "base/url.h"

namespace latchkey::web {
namespace {

// SHA-1 (RFC 3174) for the handshake only, where RFC 6455 §10.8 says its weakness does not matter. `web`
// knows only `base`, and a crypto library for twenty bytes of handshake is not worth an arrow.
std::array<std::uint8_t, 20> sha1(std::string message) {
  std::uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  const std::uint64_t bits = message.size() * 8;
  message += '\x80';
  while (message.size() % 64 != 56) message += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) message += static_cast<char>(bits >> shift);
  for (std::size_t at = 0; at < message.size(); at += 64) {
    std::uint32_t w[80];
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = 0;
      for (std::size_t j = 0; j < 4; ++j)
        w[i] = w[i] << 8 | static_cast<std::uint8_t>(message[at + 4 * i + j]);
    }
    for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = std::to_array(h);
    for (std::size_t i = 0; i < 80; ++i) {
      std::uint32_t f, k;
      if (i < 20) {
        f = (b & c) | (~b & d);
        k = 0x5A827999;
      } else if (i < 40) {
        f = b ^ c ^ d;
        k = 0x6ED9EBA1;
      } else if (i < 60) {
        f = (b & c) | (b & d) | (c & d);
        k = 0x8F1BBCDC;
      } else {
        f = b ^ c ^ d;
        k = 0xCA62C1D6;
      }
      const std::uint32_t t = std::rotl(a, 5) + f + e + k + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
  }
  std::array<std::uint8_t, 20> out;
  for (std::size_t i = 0; i < 20; ++i) out[i] = static_cast<std::uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

bool is_control(std::uint8_t opcode) { return opcode & 8; }

// RFC 6455 §7.4: codes an endpoint may put into a close frame.
bool is_close_code(std::uint16_t code) {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

}  // namespace

std::string ws_accept(std::string_view key) {
  return base64(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

bool is_ws_key(std::string_view key) {
  if (key.size() != 24) return false;
  const auto bytes = from_base64(key);
  return bytes && bytes->size() == 16;
}

Bytes ws_encode(WsOpcode opcode, BytesView payload) {
  Bytes out;
  out.reserve(payload.size() + 10);
  out.push_back(static_cast<std::uint8_t>(0x80 | static_cast<std::uint8_t>(opcode)));
  const std::uint64_t n = payload.size();
  if (n < 126) {
    out.push_back(static_cast<std::uint8_t>(n));
  } else {
    const int width = n < 65536 ? 2 : 8;
    out.push_back(width == 2 ? 126 : 127);
    for (int i = width - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(n >> (8 * i)));
  }
  append(out, payload);
  return out;
}

WsFrame ws_binary(BytesView payload) {
  return std::make_shared<const Bytes>(ws_encode(WsOpcode::binary, payload));
}

WsFrame ws_text(std::string_view payload) {
  return std::make_shared<const Bytes>(ws_encode(WsOpcode::text, as_bytes(payload)));
}

Bytes ws_close_payload(std::uint16_t code, std::string_view reason) {
  Bytes out{static_cast<std::uint8_t>(code >> 8), static_cast<std::uint8_t>(code)};
  reason = reason.substr(0, 123);  // a control frame carries 125 bytes, §5.5
  while (!is_valid_utf8(reason)) reason.remove_suffix(1);
  append(out, as_bytes(reason));
  return out;
}

void WsParser::feed(BytesView bytes) {
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  } else if (at_ > 65536 && at_ > buffer_.size() / 2) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  buffer_.append(as_text(bytes));
}

// RFC 6455 §5.2, one turn per frame.
Result<std::optional<WsEvent>, std::uint16_t> WsParser::next() {
  constexpr std::uint16_t protocol_error = 1002, not_utf8 = 1007, too_big = 1009;
  for (;;) {
    const auto have = buffer_.size() - at_;
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(buffer_[at_ + i]); };
    if (have < 2) return std::nullopt;
    const bool fin = byte(0) & 0x80;
    if (byte(0) & 0x70) return fail(protocol_error);  // RSV bits: no extension was agreed on
    const std::uint8_t op = byte(0) & 0x0f;
    if (op > 10 || (op > 2 && op < 8)) return fail(protocol_error);
    if (!(byte(1) & 0x80)) return fail(protocol_error);  // §5.1: clients mask
    std::uint64_t length = byte(1) & 0x7f;
    std::size_t header = 2;
    if (is_control(op) && (!fin || length > 125)) return fail(protocol_error);  // §5.5
    if (length >= 126) {
      const std::size_t width = length == 126 ? 2 : 8;
      if (have < header + width) return std::nullopt;
      length = 0;
      for (std::size_t i = 0; i < width; ++i) length = length << 8 | byte(header + i);
      header += width;
      if (length < (width == 2 ? 126u : 65536u)) return fail(protocol_error);  // "minimal number of bytes"
    }
    // §5.4: a continuation continues something, and nothing else starts meanwhile.
    if (!is_control(op) && (op == 0) != in_message_.has_value()) return fail(protocol_error);
    if (!is_control(op) && (length > max_message_ || message_.size() + length > max_message_))
      return fail(too_big);  // before the bytes are here
    if (have < header + 4 + length) return std::nullopt;
    std::string payload = buffer_.substr(at_ + header + 4, length);
    for (std::size_t i = 0; i < payload.size(); ++i)
      payload[i] = static_cast<char>(payload[i] ^ buffer_[at_ + header + (i & 3)]);
    at_ += header + 4 + length;

    if (is_control(op)) {
      WsEvent event{static_cast<WsOpcode>(op), std::move(payload)};
      if (event.kind == WsOpcode::close && !event.data.empty()) {  // §5.5.1
        if (event.data.size() < 2) return fail(protocol_error);
        event.close_code = static_cast<std::uint16_t>(static_cast<std::uint8_t>(event.data[0]) << 8 |
                                                      static_cast<std::uint8_t>(event.data[1]));
        event.data.erase(0, 2);
        if (!is_close_code(event.close_code)) return fail(protocol_error);
        if (!is_valid_utf8(event.data)) return fail(not_utf8);
      }
      return event;
    }
    if (op != 0) in_message_ = static_cast<WsOpcode>(op);
    if (message_.empty())
      message_ = std::move(payload);
    else
      message_ += payload;
    if (!fin) continue;
    WsEvent event{*in_message_, std::move(message_)};
    message_.clear();
    in_message_.reset();
    if (event.kind == WsOpcode::text && !is_valid_utf8(event.data)) return fail(not_utf8);
    return event;
  }
}

}  // namespace latchkey::web
