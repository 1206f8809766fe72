// Permission sets, from the author's repository to what an app may do: https://atproto.com/specs/permission
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"
#include "oauth/jose/jwt.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_person = "person@example.com";

// "abc.pds.test" is the authority for test.pds.abc.*
std::string group_of(const std::string& handle) {
  std::string out;
  for (std::size_t end = handle.size(); end != std::string::npos;) {
    const auto dot = end == 0 ? std::string::npos : handle.rfind('.', end - 1);
    const auto from = dot == std::string::npos ? 0 : dot + 1;
    out += (out.empty() ? "" : ".") + handle.substr(from, end - from);
    end = dot;
  }
  return out;
}

class PermissionSetFlow : public ::testing::Test {
 protected:
  PermissionSetFlow() {
    group_ = group_of(w_.account("author@example.com")->handle_text());
    set_ = group_ + ".authBasic";
    publish({"event"});
  }
  std::string collection(const std::string& name) const { return group_ + "." + name; }
  void publish(const std::vector<std::string>& names) {
    json::Array collections;
    for (const auto& name : names) collections.emplace_back(collection(name));
    const json::Object permission{
        {"type", "permission"}, {"resource", "repo"}, {"collection", std::move(collections)}};
    const Page put = tools_.call(
        "POST", "/xrpc/com.atproto.repo.putRecord", author_,
        json::Object{
            {"repo", author_.did},
            {"collection", "com.atproto.lexicon.schema"},
            {"rkey", set_},
            {"record",
             json::Object{
                 {"$type", "com.atproto.lexicon.schema"},
                 {"lexicon", 1},
                 {"id", set_},
                 {"defs", json::Object{{"main", json::Object{{"type", "permission-set"},
                                                             {"title", "Plan your days"},
                                                             {"permissions", json::Array{permission}}}}}}}}});
    ASSERT_EQ(put.status, 200) << put.body;
  }
  std::string scope() const { return "atproto include:" + set_; }
  Page resolve_lexicon(const std::string& nsid) {
    return browser_.get(w_.options.pds + "/xrpc/com.atproto.lexicon.resolveLexicon?nsid=" + nsid);
  }
  static std::string scope_of_token(const Tokens& tokens) {
    return *oauth::parse_compact(tokens.access)->string_claim("scope");
  }
  static Page create(App& app, const Tokens& tokens, const std::string& collection) {
    return app.call("POST", "/xrpc/com.atproto.repo.createRecord", tokens,
                    json::Object{{"repo", tokens.did},
                                 {"collection", collection},
                                 {"record", json::Object{{"$type", collection}, {"text", "hello"}}}});
  }

  World w_;
  App tools_{w_};
  Browser author_browser_{w_}, browser_{w_};
  const Tokens author_ = sign_in(tools_, author_browser_, "author@example.com");
  std::string group_, set_;
};

TEST_F(PermissionSetFlow, AnAppGetsWhatTheSetHoldsAndARefreshWhatItHoldsThen) {
  App app(w_, App::Kind::web, "Example App", scope());
  const auto login = app.start({{"scope", scope()}});
  const Page consent = walk_to_consent(app, login, browser_, k_person);
  EXPECT_TRUE(consent.shows("Plan your days")) << consent.body;
  Tokens tokens = app.redeem(login, browser_.submit(consent, "/auth/consent", {{"action", "approve"}}));
  EXPECT_EQ(tokens.scope, scope()) << "the grant is the set";
  EXPECT_EQ(scope_of_token(tokens), "atproto repo:" + collection("event")) << "the token is what it holds";
  EXPECT_EQ(create(app, tokens, collection("event")).status, 200);
  const Page outside = create(app, tokens, collection("todo"));
  EXPECT_EQ(outside.status, 403);
  EXPECT_EQ(outside.error(), "ScopeMissingError");
  EXPECT_TRUE(outside.shows("repo:" + collection("todo"))) << outside.body;

  publish({"event", "todo"});
  const auto refresh = [&] {
    const Page answer = app.post(
        "/oauth/token",
        {{"grant_type", "refresh_token"}, {"refresh_token", tokens.refresh}, {"client_id", app.client_id()}});
    ASSERT_EQ(answer.status, 200) << answer.body;
    tokens = {answer.text("access_token"), answer.text("refresh_token"), answer.text("sub"),
              answer.text("scope")};
  };
  w_.clock.advance(24h - 1s);
  refresh();
  EXPECT_EQ(create(app, tokens, collection("todo")).status, 403) << "what was fetched is good for a day";
  w_.clock.advance(1s);
  refresh();
  EXPECT_EQ(tokens.scope, scope());
  EXPECT_EQ(scope_of_token(tokens),
            fmt::format("atproto repo?collection={}&collection={}", collection("event"), collection("todo")));
  EXPECT_EQ(create(app, tokens, collection("todo")).status, 200);
}

TEST_F(PermissionSetFlow, AttackASetHasNothingOutsideItsOwnNames) {
  group_ = "com.example";  // publish() names collections of this group now
  publish({"note"});
  App app(w_, App::Kind::web, "Example App", scope());
  const auto login = app.start({{"scope", scope()}});
  const Tokens tokens = app.redeem(login, walk(app, login, browser_, k_person));
  EXPECT_EQ(scope_of_token(tokens), "atproto");
  EXPECT_EQ(create(app, tokens, "com.example.note").status, 403);
}

TEST_F(PermissionSetFlow, AttackASessionDoesNotBeginWithoutItsSets) {
  const std::string other = group_ + ".authOther", nobodys = "com.example.authBasic";
  App app(w_, App::Kind::web, "Example App", scope() + " include:" + other + " include:" + nobodys);
  for (const std::string& missing : {other, nobodys}) {
    const Page answer =
        app.post("/oauth/par", with(app.par_form(), "scope", scope() + " include:" + missing));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.error(), "invalid_scope");
    EXPECT_EQ(answer.text("error_description"), "Could not resolve permission set " + missing);
  }
}

TEST_F(PermissionSetFlow, LexiconsCanBeAskedFor) {
  const Page found = resolve_lexicon(set_);
  ASSERT_EQ(found.status, 200) << found.body;
  EXPECT_EQ(found.text("uri"), "at://" + author_.did + "/com.atproto.lexicon.schema/" + set_);
  EXPECT_EQ(*found.json().find("schema")->string_at("id"), set_);
  const Page record = browser_.get(
      w_.options.pds + "/xrpc/com.atproto.repo.getRecord?" +
      encode_form({{"repo", author_.did}, {"collection", "com.atproto.lexicon.schema"}, {"rkey", set_}}));
  EXPECT_EQ(found.text("cid"), record.text("cid"));

  for (const std::string& missing : {group_ + ".authOther", std::string("com.example.authBasic")}) {
    const Page none = resolve_lexicon(missing);
    EXPECT_EQ(none.status, 400);
    EXPECT_EQ(none.error(), "LexiconNotFound");
  }
  EXPECT_EQ(resolve_lexicon("nonsense").error(), "InvalidRequest");
  w_.clock.advance(1h);  // nothing is remembered
  w_.network.down.insert("https://plc.test");
  EXPECT_EQ(resolve_lexicon(set_).error(), "UpstreamFailure");
}

}  // namespace
}  // namespace latchkey::dev::world
