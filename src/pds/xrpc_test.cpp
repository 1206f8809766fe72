// The rules all methods share, the account methods' answers, and the routes beside /xrpc.
#include <gmock/gmock.h>

#include "pds/methods.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using ::testing::HasSubstr;

constexpr const char* k_sign_up = "com.atproto.server.createAccount";

TEST(Xrpc, WrongVerbIsInvalidRequest) {
  World w;
  for (const auto& method : methods()) {
    for (const char* verb : {"GET", "POST", "PUT", "DELETE", "PATCH"}) {
      if (verb == std::string_view(method.verb == Verb::query ? "GET" : "POST")) continue;
      const auto got =
          w.process.send(web::Request::make(verb, "https://pds.test/xrpc/" + std::string(method.nsid)));
      EXPECT_EQ(got.status, 400) << verb << " " << method.nsid;
      EXPECT_EQ(got.error(), "InvalidRequest");
      EXPECT_EQ(got.message(), std::string("Incorrect HTTP method (") + verb + ") expected " +
                                   (method.verb == Verb::query ? "GET" : "POST"));
    }
  }
}

TEST(Xrpc, EveryAnswerCanBeReadByPages) {
  World w;
  for (const char* target : {"/xrpc/com.atproto.server.describeServer", "/xrpc/com.atproto.server.getSession",
                             "/xrpc/com.example.unknown", "/xrpc/nonsense", "/xrpc/_health"})
    EXPECT_EQ(w.get(target).headers.get("access-control-allow-origin"), "*") << target;
  const auto preflight = w.process.send(
      web::Request::make("OPTIONS", "https://pds.test/xrpc/com.atproto.repo.createRecord", {},
                         {{"Access-Control-Request-Headers", "authorization,dpop,content-type"},
                          {"Origin", "https://app.test"}}));
  EXPECT_EQ(preflight.status, 200);
  EXPECT_EQ(preflight.headers.get("access-control-max-age"), "86400");
}

TEST(Xrpc, UnknownMethodsAreNotImplemented) {
  World w;
  const auto unknown = w.get("/xrpc/com.example.unknown");
  EXPECT_EQ(unknown.status, 501);
  EXPECT_EQ(unknown.error(), "MethodNotImplemented");
  for (const char* target :
       {"/xrpc/nonsense", "/xrpc/a.b", "/xrpc/com.example.x/y", "/xrpc/com.example.x%2Fy"}) {
    const auto got = w.get(target);
    EXPECT_EQ(got.status, 404) << target;
    EXPECT_EQ(got.error(), "XRPCNotSupported") << target;
  }
}

TEST(Xrpc, HeadIsAllowedOnQueries) {
  World w;
  EXPECT_EQ(
      w.process.send(web::Request::make("HEAD", "https://pds.test/xrpc/com.atproto.server.describeServer"))
          .status,
      200);
}

TEST(Xrpc, InputMustBeJson) {
  World w;
  const auto send = [&](std::string body, std::optional<std::string> type) {
    web::Headers headers;
    if (type) headers.set("Content-Type", *type);
    return w.process.send(web::Request::make("POST", std::string("https://pds.test/xrpc/") + k_sign_up,
                                             std::move(body), headers));
  };
  EXPECT_EQ(send("", "application/json").message(), "A request body is expected but none was provided");
  EXPECT_EQ(send("{}", std::nullopt).message(), "Request encoding (Content-Type) required but not provided");
  EXPECT_EQ(send("{}", "text/plain").message(), "Wrong request encoding (Content-Type): text/plain");
  EXPECT_EQ(send("[]", "application/json").message(), "Input must be an object");
  EXPECT_THAT(send("{", "application/json").message(), HasSubstr("JSON"));
  EXPECT_EQ(send(R"({"a":1,"a":2})", "application/json").status, 400);
  EXPECT_EQ(send("{}", "application/json; charset=utf-8").message(),
            "Input must have the property \"handle\"");
  const std::string padding(150 * 1024 - 10, ' ');
  EXPECT_EQ(send("{}" + padding, "application/json").status, 400);
  const auto large = send("{}" + padding + "          ", "application/json");
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.error(), "PayloadTooLarge");
}

TEST(Xrpc, MethodsWithoutInputRefuseABody) {
  World w;
  const auto alice = w.sign_up("alice");
  const auto got = w.post("com.atproto.server.refreshSession", json::Object{}, alice.refresh);
  EXPECT_EQ(got.status, 400);
  EXPECT_EQ(got.message(), "A request body was provided when none was expected");
}

TEST(Xrpc, ParametersAreCheckedAndUnknownOnesIgnored) {
  World w;
  const std::string method = "/xrpc/com.atproto.sync.getRepoStatus";
  EXPECT_EQ(w.get(method).message(), "Params must have the property \"did\"");
  EXPECT_EQ(w.get(method + "?did=alice.test").message(), "Params/did must be a valid did");
  EXPECT_EQ(w.get(method + "?did=did:plc:a&did=did:plc:b").status, 400);
  EXPECT_EQ(w.get(method + "?did=%zz").status, 400);
  const auto alice = w.sign_up("alice");
  EXPECT_EQ(w.get(method + "?did=" + alice.did.str() + "&unknown=1").status, 200);
}

TEST(Xrpc, AnswersToSignedInCallersArePrivate) {
  World w;
  const auto alice = w.sign_up("alice");
  const auto got = w.get("/xrpc/com.atproto.server.getSession", alice.access);
  EXPECT_EQ(got.headers.get("cache-control"), "private");
  EXPECT_EQ(got.headers.get("vary"), "Authorization");
}

TEST(Xrpc, FailuresBelowBecomeServerErrors) {
  World w;
  w.db().close();
  const auto got = w.get("/xrpc/com.atproto.identity.resolveHandle?handle=alice.test");
  EXPECT_EQ(got.status, 500);
  EXPECT_EQ(got.error(), "InternalServerError");
  EXPECT_EQ(got.message(), "Internal Server Error") << "nothing of the inside";
  const auto health = w.get("/xrpc/_health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.text, R"({"version":"1.2.3","error":"Service Unavailable"})");
}

TEST(DescribeServer, TellsWhatTheOperatorSet) {
  auto config = test_config();
  config.contact_email = "abuse@pds.test";
  config.terms_of_service_url = "https://pds.test/tos";
  World w(store::Engine::sqlite, config);
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.describeServer").text,
            R"({"did":"did:web:pds.test","availableUserDomains":[".test"],"inviteCodeRequired":false,)"
            R"("phoneVerificationRequired":false,"blobUploadLimit":5242880,)"
            R"("links":{"termsOfService":"https://pds.test/tos"},"contact":{"email":"abuse@pds.test"}})");
}

TEST(CreateAccount, AnswersWithASession) {
  World w;
  const auto got = w.post(
      k_sign_up,
      json::Object{{"handle", "Alice.test"}, {"email", "alice@mail.test"}, {"password", "correct horse"}});
  ASSERT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.text_at("handle"), "alice.test");
  EXPECT_TRUE(got.text_at("did").starts_with("did:plc:"));
  EXPECT_EQ(*got.body.find("didDoc")->string_at("id"), got.text_at("did"));
  EXPECT_EQ(got.headers.get("cache-control"), "no-store");
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", "Bearer " + got.text_at("accessJwt")).text_at("did"),
            got.text_at("did"));
}

struct Refusal {
  json::Object input;
  int status;
  const char* error;
  const char* message;
};

TEST(CreateAccount, RefusesWithTheWordsClientsKnow) {
  World w;
  w.sign_up("alice");
  const auto with = [](std::initializer_list<json::Object::Member> more) {
    json::Object input{{"handle", "bob.test"}, {"email", "bob@mail.test"}, {"password", "correct horse"}};
    for (const auto& member : more) input.set(member.key, member.value);
    return input;
  };
  for (const auto& [input, status, error, message] : {
           Refusal{with({{"handle", "alice.test"}}), 400, "InvalidRequest",
                   "Handle already taken: alice.test"},
           Refusal{with({{"email", "ALICE@MAIL.TEST"}}), 400, "InvalidRequest",
                   "Email already taken: ALICE@MAIL.TEST"},
           Refusal{with({{"handle", "b.test"}}), 400, "InvalidHandle", "Handle too short"},
           Refusal{with({{"handle", "jayromy-johnber12345678910.test"}}), 400, "InvalidHandle",
                   "Handle too long"},
           Refusal{with({{"handle", "a.b.test"}}), 400, "InvalidHandle", "Invalid characters in handle"},
           Refusal{with({{"handle", "about.test"}}), 400, "HandleNotAvailable", "Reserved handle"},
           Refusal{with({{"handle", "john.bsky.io"}}), 400, "UnsupportedDomain",
                   "Not a supported handle domain"},
           Refusal{with({{"handle", "did:bad-handle.test"}}), 400, "InvalidRequest",
                   "Input/handle must be a valid handle"},
           Refusal{with({{"handle", "jo_hn.test"}}), 400, "InvalidRequest",
                   "Input/handle must be a valid handle"},
           Refusal{with({{"email", "nonsense"}}), 400, "InvalidRequest",
                   "This email address is not supported, please use a different email."},
           Refusal{with({{"password", "short"}}), 400, "InvalidPassword",
                   "Password too short. Minimum length is 8 characters."},
           Refusal{with({{"recoveryKey", "did:key:nonsense"}}), 400, "InvalidRequest",
                   "Input/recoveryKey must be a valid did:key"},
           Refusal{with({{"plcOp", json::Object{}}}), 400, "InvalidRequest", "Unsupported input: \"plcOp\""},
           // Attack 27: somebody else's DID, without proof.
           Refusal{with({{"did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}}), 401, "AuthenticationRequired",
                   "Missing auth to create account with did: did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"},
       }) {
    const auto got = w.post(k_sign_up, input);
    EXPECT_EQ(got.status, status) << message;
    EXPECT_EQ(got.error(), error) << message;
    EXPECT_EQ(got.message(), message);
  }
  json::Object no_email{{"handle", "bob.test"}, {"password", "correct horse"}};
  EXPECT_EQ(w.post(k_sign_up, no_email).message(), "Email is required");
  EXPECT_EQ(w.plc.operations.size(), 1u) << "nothing was left in the directory";
}

TEST(CreateAccount, WithInvitesRequiredNeedsACode) {
  auto config = test_config();
  config.invite_required = true;
  World w(store::Engine::sqlite, config);
  json::Object input{{"handle", "bob.test"}, {"email", "bob@mail.test"}, {"password", "correct horse"}};
  EXPECT_EQ(w.post(k_sign_up, input).message(), "No invite code provided");
  input.set("inviteCode", "pds-test-aaaaa-bbbbb");
  EXPECT_EQ(w.post(k_sign_up, input).error(), "InvalidInviteCode");
}

TEST(CreateAccount, WhenTheDirectoryIsDownSaysSo) {
  World w;
  w.plc.mode = MemoryPlc::Mode::unreachable;
  const auto got = w.post(k_sign_up, json::Object{{"handle", "bob.test"}, {"email", "b@mail.test"}});
  EXPECT_EQ(got.status, 502);
  EXPECT_EQ(got.error(), "UpstreamFailure");
}

TEST(ResolveHandle, AnswersForLocalAccounts) {
  World w;
  const auto alice = w.sign_up("alice");
  EXPECT_EQ(w.get("/xrpc/com.atproto.identity.resolveHandle?handle=ALICE.test").text_at("did"),
            alice.did.str());
  for (const char* handle : {"bob.test", "bob.example.com"}) {
    const auto got = w.get(std::string("/xrpc/com.atproto.identity.resolveHandle?handle=") + handle);
    EXPECT_EQ(got.status, 400) << handle;
    EXPECT_EQ(got.error(), "HandleNotFound") << handle;
    EXPECT_EQ(got.message(), "Unable to resolve handle") << handle;
  }
}

TEST(AtprotoDid, AnswersByHost) {  // attacks 17, 26
  World w;
  const auto alice = w.sign_up("alice");
  const auto ask = [&](std::string origin) {
    return w.process.send(web::Request::make("GET", origin + "/.well-known/atproto-did"));
  };
  EXPECT_EQ(ask("https://alice.test").text, alice.did.str());
  EXPECT_EQ(ask("https://alice.test:8443").text, alice.did.str());
  EXPECT_TRUE(ask("https://alice.test").headers.get("content-type").starts_with("text/plain"));
  for (const char* origin : {"https://bob.test", "https://alice.example.com", "https://pds.example.com",
                             "https://x.alice.test", "https://127.0.0.1"})
    EXPECT_EQ(ask(origin).status, 404) << origin;
}

TEST(PlainRoutes, AreThere) {
  World w;
  EXPECT_EQ(w.get("/xrpc/_health").text, R"({"version":"1.2.3"})");
  const auto front = w.get("/");
  EXPECT_TRUE(front.headers.get("content-type").starts_with("text/plain"));
  EXPECT_THAT(front.text, HasSubstr("AT Protocol Personal Data Server"));
  EXPECT_THAT(w.get("/robots.txt").text, HasSubstr("Allow: /"));
}

}  // namespace
}  // namespace latchkey::pds
