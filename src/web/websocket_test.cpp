#include "web/websocket.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace latchkey::web {
namespace {

TEST(WebSocketFraming, HandshakeVector) {  // RFC 6455 §1.3
  EXPECT_EQ(ws_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketFraming, AcceptOfLongerKeysCrossesTheBlockOfTheHash) {
  EXPECT_EQ(ws_accept(std::string(28, 'a')).size(), 28u);
  // SHA-1 of one block and a bit, computed with another implementation: key "x" * 100.
  EXPECT_EQ(ws_accept(std::string(100, 'x')), "DJTE+uYDnPxiT+W6VvIG/iPUxv8=");
}

TEST(WebSocketFraming, ServerFramesOfTheRfc) {  // §5.7, the unmasked examples
  EXPECT_EQ(hex(ws_encode(WsOpcode::text, as_bytes("Hello"))), "810548656c6c6f");
  EXPECT_EQ(hex(ws_encode(WsOpcode::ping, as_bytes("Hello"))), "890548656c6c6f");
  EXPECT_EQ(hex(ws_encode(WsOpcode::binary, Bytes(256))).substr(0, 8), "827e0100");
  EXPECT_EQ(hex(ws_encode(WsOpcode::binary, Bytes(65536))).substr(0, 20), "827f0000000000010000");
}

TEST(WebSocketFraming, LengthFormsChangeWhereTheyMust) {
  EXPECT_EQ(ws_encode(WsOpcode::binary, Bytes(125)).size(), 125u + 2);
  EXPECT_EQ(ws_encode(WsOpcode::binary, Bytes(126)).size(), 126u + 4);
  EXPECT_EQ(ws_encode(WsOpcode::binary, Bytes(65535)).size(), 65535u + 4);
  EXPECT_EQ(ws_encode(WsOpcode::binary, Bytes(65536)).size(), 65536u + 10);
}

TEST(WebSocketFraming, ClientFramesOfTheRfcByteByByte) {  // §5.7, the masked examples
  WsParser parser(1000);
  std::vector<WsEvent> events;
  const auto frames = *from_hex("818537fa213d7f9f4d51588a8537fa213d7f9f4d5158");
  for (const auto b : frames) {
    parser.feed({&b, 1});
    const auto e = parser.next();
    ASSERT_TRUE(e.has_value());
    if (*e) events.push_back(**e);
  }
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, WsOpcode::text);
  EXPECT_EQ(events[0].data, "Hello");
  EXPECT_EQ(events[1].kind, WsOpcode::pong);
  EXPECT_EQ(events[1].data, "Hello");
}

TEST(WebSocketFraming, LengthsAreMinimal) {  // §5.2
  for (const auto* frame :
       {"81fe007d00000000", "81ff000000000000ffff00000000", "81ff800000000000000000000000"}) {
    WsParser parser(1u << 20);
    parser.feed(*from_hex(frame));
    EXPECT_FALSE(parser.next().has_value()) << frame;
  }
}

TEST(WebSocketFraming, TheLimitHoldsBeforeTheBytesArrive) {
  const auto one = [](std::size_t limit, const char* header) {
    WsParser parser(limit);
    parser.feed(*from_hex(header));
    return parser.next();
  };
  EXPECT_TRUE(one(1000, "82fe03e8").has_value());
  EXPECT_EQ(one(999, "82fe03e8").error(), 1009);
  EXPECT_EQ(one(1000, "82ff7fffffffffffffff").error(), 1009);
}

TEST(WebSocketFraming, CloseReasonsAreCutBetweenCharacters) {
  std::string reason(122, 'a');
  reason += "\xc3\xa9";
  EXPECT_EQ(ws_close_payload(1000, reason).size(), 2u + 122);
}

TEST(WebSocketFraming, Keys) {
  EXPECT_TRUE(is_ws_key("dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_FALSE(is_ws_key("dGhlIHNhbXBsZSBub25jZQ"));
  EXPECT_FALSE(is_ws_key(""));
}

}  // namespace
}  // namespace latchkey::web
