#include "atproto/xrpc/error.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace latchkey::xrpc {
namespace {

TEST(XrpcError, StatusAndNameComeFromOneTable) {
  static_assert(wire(Error::InvalidRequest).status == 400);
  EXPECT_EQ(wire(Error::InvalidRequest).name, "InvalidRequest");
  EXPECT_EQ(wire(Error::use_dpop_nonce).name, "use_dpop_nonce");
  EXPECT_EQ(wire(Error::use_dpop_nonce).status, 401);
  EXPECT_EQ((Fault{.code = Error::ExpiredToken}.status()), 400);
}

TEST(XrpcError, NamesOfAllErrorsDiffer) {
  std::map<std::string_view, int> names;
  for (int i = 0; i <= static_cast<int>(Error::LexiconNotFound); ++i) {
    const auto w = wire(static_cast<Error>(i));
    EXPECT_EQ(++names[w.name], 1) << w.name;
    EXPECT_GE(w.status, 400);
    EXPECT_LE(w.status, 504);
  }
}

TEST(XrpcError, BodyIsJsonWithErrorAndMessageOnly) {
  const Fault fault{
      .code = Error::InvalidRequest, .message = "no \"such\"\nrepo", .detail = "database row 7 is odd"};
  const auto parsed = json::parse(body(fault));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->string_at("error"), "InvalidRequest");
  EXPECT_EQ(*parsed->string_at("message"), "no \"such\"\nrepo");
  EXPECT_EQ(parsed->object()->size(), 2u) << "the detail is for logs only";
}

TEST(XrpcError, WithoutAMessageTheNameIsSpelledOut) {
  EXPECT_EQ(body({.code = Error::InvalidRequest}),
            R"({"error":"InvalidRequest","message":"Invalid Request"})");
  EXPECT_EQ(body({.code = Error::XRPCNotSupported}),
            R"({"error":"XRPCNotSupported","message":"XRPC Not Supported"})");
  EXPECT_EQ(body({.code = Error::invalid_token}), R"({"error":"invalid_token","message":"invalid token"})");
}

}  // namespace
}  // namespace latchkey::xrpc
