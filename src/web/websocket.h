#pragma once
// WebSocket, RFC 6455, server side; no extensions.
//
//   Task<void> Firehose::run(std::shared_ptr<WebSocket> ws) {
//     const auto id = hub_.subscribe(ws);
//     while (co_await ws->receive()) {}        // answers pings; std::nullopt when the peer is gone
//     hub_.unsubscribe(id);
//   }
//   return Response::websocket([this](auto ws) { return run(std::move(ws)); });

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/task.h"

namespace latchkey::web {

struct WsMessage {
  bool text = false;
  std::string data;
};

/// A frame ready for the wire. Server frames are not masked, so one encoding serves every subscriber.
using WsFrame = std::shared_ptr<const Bytes>;
WsFrame ws_binary(BytesView payload);
WsFrame ws_text(std::string_view payload);

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  /// The next whole message; std::nullopt when the connection is over. Pings are answered and pongs noticed
  /// while somebody waits here, so keep receiving also when nothing is expected. One waiter at a time, on the
  /// connection's own executor.
  virtual Task<std::optional<WsMessage>> receive() = 0;
  /// Queues a frame; several queued frames go out in one write. False when the connection is closing or the
  /// queue is full (ServerOptions::websocket_max_queue): the reader is too slow and the frame was not taken.
  /// Thread-safe.
  virtual bool send(WsFrame frame) = 0;
  /// Forgets what is queued and not yet being written, sends `last` (when not null) and a close frame, then
  /// closes. Thread-safe; later calls do nothing.
  virtual void close(std::uint16_t code, std::string_view reason = {}, WsFrame last = nullptr) = 0;
  /// Waits until at most `below` bytes are queued (back-pressure for replays); false when the connection is
  /// closing.
  virtual Task<bool> drain(std::size_t below) = 0;
  virtual std::size_t queued_bytes() const = 0;
  virtual bool is_open() const = 0;
};

// --- The pure part: bytes in, frames out. ---

enum class WsOpcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2 item 5.4).
std::string ws_accept(std::string_view key);
/// A 16-byte nonce in base64 (§4.1 item 7).
bool is_ws_key(std::string_view key);
/// An unmasked frame with FIN set.
Bytes ws_encode(WsOpcode opcode, BytesView payload);
/// A close frame's payload (§5.5.1); the reason is cut to 123 bytes.
Bytes ws_close_payload(std::uint16_t code, std::string_view reason);

struct WsEvent {
  WsOpcode kind;     // text and binary: a whole message; close, ping, pong: the control frame
  std::string data;  // close: the reason
  std::uint16_t close_code = 1005;
};

/// Client-to-server frames, fed in pieces of any size. An error is the close code to answer with: 1002
/// protocol (unmasked frame, reserved bits, unknown opcode, fragmented or long control frame, length not
/// minimal), 1007 text that is not UTF-8, 1009 message over the limit.
class WsParser {
 public:
  explicit WsParser(std::size_t max_message) : max_message_(max_message) {}
  void feed(BytesView bytes);
  /// The next event; std::nullopt when more bytes are needed.
  Result<std::optional<WsEvent>, std::uint16_t> next();

 private:
  std::size_t max_message_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::string message_;
  std::optional<WsOpcode> in_message_;
};

}  // namespace latchkey::web
