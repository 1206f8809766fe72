// Requests recorded from better-auth, replayed against Auth in process
// (tests/fixtures/better-auth/README.md).
#include "auth/core/replay_testing.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "auth/core/cookies.h"
#include "base/encoding.h"
#include "base/url.h"
#include "crypto/hash.h"

namespace latchkey::auth::replay {
namespace {

json::Value fixture(const std::string& name) {
  std::ifstream file(std::string(LATCHKEY_FIXTURES) + "/better-auth/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str()).value();
}

std::vector<std::string> scenarios() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LATCHKEY_FIXTURES) + "/better-auth"))
    if (const std::string stem = entry.path().stem();
        stem != "vectors" && entry.path().extension() == ".json")
      names.push_back(stem);
  std::ranges::sort(names);
  return names;
}

bool is_date(std::string_view s) {
  constexpr std::string_view shape = "0000-00-00T00:00:00.000Z";
  if (s.size() != shape.size()) return false;
  for (std::size_t i = 0; i < s.size(); ++i)
    if (shape[i] == '0' ? !(s[i] >= '0' && s[i] <= '9') : s[i] != shape[i]) return false;
  return true;
}

std::string sign(std::string_view value) {
  return fmt::format("{}.{}", value, base64(crypto::hmac_sha256(as_bytes(k_secret), as_bytes(value))));
}

class Replay {
 public:
  Replay(store::Engine engine, json::Value scenario)
      : scenario_(std::move(scenario)),
        base_(*scenario_.string_at("baseURL") == "{{base}}" ? "http://localhost:3000"
                                                            : *scenario_.string_at("baseURL")),
        world_(engine, *scenario_.string_at("profile"), base_) {}

  void play() {
    for (const json::Value& step : *scenario_.find("steps")->array()) {
      SCOPED_TRACE(*step.string_at("label"));
      if (const auto* wait = step.find("wait_ms")) {
        world_.clock.advance(std::chrono::milliseconds(*wait->integer()));
        continue;
      }
      if (step.find("note")) world_.prepare(*step.string_at("label"));
      world_.clock.advance(std::chrono::milliseconds(10));
      play(*step.find("request"), *step.find("response"));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

 private:
  /// A placeholder that stands for one text by now; std::nullopt when it is free.
  std::optional<std::string> value_of(const std::string& name) const {
    if (name == "base") return base_;
    if (name == "base:uri") return encode_uri_component(base_);
    if (name == "idp") return std::string(k_idp);
    if (name.starts_with("otp:") || name.starts_with("mail:")) {
      const auto it = world_.mail.find(name);
      return it == world_.mail.end() ? "(nothing was mailed: " + name + ")" : it->second;
    }
    const auto it = bound_.find(name);
    return it == bound_.end() ? std::nullopt : std::optional(it->second);
  }

  std::string filled(std::string_view text) const {
    std::string out;
    while (true) {
      const auto open = text.find("{{");
      out += text.substr(0, open);
      if (open == text.npos) return out;
      const auto close = text.find("}}", open);
      const std::string name(text.substr(open + 2, close - open - 2));
      const auto value = value_of(name);
      EXPECT_TRUE(value.has_value()) << "not bound: " << name;
      out += value.value_or("");
      text.remove_prefix(close + 2);
    }
  }
  json::Value filled_value(const json::Value& v) const {
    if (const auto* s = v.string()) return filled(*s);
    if (const auto* a = v.array()) {
      json::Array out;
      for (const auto& item : *a) out.push_back(filled_value(item));
      return out;
    }
    if (const auto* o = v.object()) {
      json::Object out;
      for (const auto& [key, value] : *o) out.append(key, filled_value(value));
      return out;
    }
    return v;
  }

  /// Whether `text` is what `pattern` says, binding free placeholders on the way.
  bool matches(std::string_view pattern, std::string_view text) {
    const auto open = pattern.find("{{");
    if (open == pattern.npos) return pattern == text;
    if (text.substr(0, open) != pattern.substr(0, open)) return false;
    text.remove_prefix(open);
    const auto close = pattern.find("}}", open);
    const std::string name(pattern.substr(open + 2, close - open - 2));
    const auto rest = pattern.substr(close + 2);
    if (name == "date" || name.starts_with("date:+")) {
      const auto given = text.substr(0, 24);
      if (!is_date(given)) return false;
      if (name != "date") {
        const auto ahead = *parse_rfc3339(given) - world_.clock.now();
        const auto off = ahead - std::chrono::seconds(std::stoll(name.substr(6)));
        if (off > std::chrono::seconds(8) || off < -std::chrono::seconds(8)) return false;
      }
      return matches(rest, text.substr(24));
    }
    if (name == "any" || name == "any-jwt") {
      for (std::size_t n = text.size() + 1; n-- > 0;)
        if (matches(rest, text.substr(n))) return true;
      return false;
    }
    if (const auto value = value_of(name))
      return text.starts_with(*value) && matches(rest, text.substr(value->size()));
    const auto end = std::ranges::find_if_not(text, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
             c == '-';
    });
    const auto n = static_cast<std::size_t>(end - text.begin());
    if (n == 0) return false;
    bound_[name] = std::string(text.substr(0, n));
    return matches(rest, text.substr(n));
  }

  /// "signed(X)": X with our signature.
  bool matches_signed(std::string_view pattern, const std::string& text) {
    if (!pattern.starts_with("signed(") || !pattern.ends_with(")")) return matches(pattern, text);
    const auto dot = text.rfind('.');
    if (dot == text.npos || text != sign(text.substr(0, dot))) return false;
    return matches(pattern.substr(7, pattern.size() - 8), text.substr(0, dot));
  }

  void expect(const json::Value& wanted, const json::Value& given, const std::string& where) {
    if (const auto* s = wanted.string()) {
      EXPECT_TRUE(given.string() && matches(*s, *given.string()))
          << where << ": expected " << *s << ", got " << given.dump();
    } else if (const auto* o = wanted.object()) {
      ASSERT_TRUE(given.object()) << where << ": " << given.dump();
      for (const auto& [key, value] : *o) {
        const auto* member = given.find(key);
        ASSERT_TRUE(member) << where << ": no " << key << " in " << given.dump();
        expect(value, *member, where + "." + key);
      }
      for (const auto& [key, _] : *given.object()) EXPECT_TRUE(o->find(key)) << where << ": an extra " << key;
    } else if (const auto* a = wanted.array()) {
      ASSERT_TRUE(given.array() && given.array()->size() == a->size()) << where << ": " << given.dump();
      for (std::size_t i = 0; i < a->size(); ++i)
        expect((*a)[i], (*given.array())[i], fmt::format("{}[{}]", where, i));
    } else {
      EXPECT_EQ(given.dump(), wanted.dump()) << where;
    }
  }

  struct Cookie {
    std::string name, value;
    std::set<std::string> attributes;
  };
  static Cookie parse_set_cookie(std::string_view text) {
    Cookie c;
    bool first = true;
    while (!text.empty()) {
      const auto end = text.find("; ");
      const auto part = text.substr(0, end);
      text = end == text.npos ? std::string_view() : text.substr(end + 2);
      if (first) {
        c.name = std::string(part.substr(0, part.find('=')));
        c.value = std::string(part.substr(part.find('=') + 1));
      } else {
        c.attributes.emplace(part);
      }
      first = false;
    }
    return c;
  }

  web::Request request_of(const json::Value& step) {
    std::string body;
    if (const auto* sent = step.find("json")) {
      body = filled_value(*sent).dump();
    } else if (const auto* form = step.find("form")) {
      FormFields fields;
      for (const auto& [name, value] : *form->object()) fields.emplace_back(name, filled(*value.string()));
      body = encode_form(fields);
    } else if (const auto* raw = step.string_at("body")) {
      body = filled(*raw);
    }
    auto request =
        web::Request::make(*step.string_at("method"), base_ + filled(*step.string_at("path")), body);
    request.remote_ip.clear();
    bool own_cookies = false;
    for (const auto& [name, value] : *step.find("headers")->object()) {
      request.headers.add(name, filled(*value.string()));
      own_cookies = own_cookies || name == "cookie";
      if (name == "x-forwarded-for") request.remote_ip = *value.string();  // what web::Server makes of it
    }
    const bool held_back = step.find("sendCookies") && !*step.find("sendCookies")->boolean();
    if (!own_cookies && !held_back) {
      std::string cookies;
      for (const auto& [name, value] : jars_[jar_of(step)])
        cookies += fmt::format("{}{}={}", cookies.empty() ? "" : "; ", name, value);
      if (!cookies.empty()) request.headers.add("cookie", cookies);
    }
    return request;
  }
  static std::string jar_of(const json::Value& step) {
    const auto* jar = step.string_at("jar");
    return jar ? *jar : "";
  }

  void play(const json::Value& step, const json::Value& wanted) {
    const std::string path = *step.string_at("path");
    if (missing_route(path)) {
      const auto got = run(world_.auth->handle(web::Request::make(*step.string_at("method"), base_ + path)));
      EXPECT_EQ(got.status, 404) << path << " is there: take it off the list in replay_testing.cpp";
      return;
    }
    const web::Response got = run(world_.auth->handle(request_of(step)));
    ASSERT_EQ(got.status, *wanted.find("status")->integer()) << got.body;
    if (const auto* headers = wanted.find("headers"))
      for (const auto& [name, value] : *headers->object())
        EXPECT_TRUE(matches_signed(*value.string(), std::string(got.headers.get(name))))
            << name << ": expected " << *value.string() << ", got " << got.headers.get(name);
    if (const auto* body = wanted.find("json")) {
      const auto parsed = json::parse(got.body);
      ASSERT_TRUE(parsed.has_value()) << got.body;
      expect(*body, *parsed, "body");
    } else if (const auto* text = wanted.string_at("body")) {
      EXPECT_EQ(got.body, filled(*text));
    }

    std::vector<Cookie> cookies;
    for (const std::string& header : got.headers.all("set-cookie"))
      cookies.push_back(parse_set_cookie(header));
    std::set<std::string> listed;
    for (const json::Value& one : *wanted.find("setCookies")->array()) {
      const std::string name = *one.string_at("name");
      listed.insert(name);
      std::set<std::string> attributes;
      for (const json::Value& a : *one.find("attrs")->array()) attributes.insert(*a.string());
      EXPECT_TRUE(std::ranges::any_of(cookies,
                                      [&](const Cookie& c) {
                                        return c.name == name && c.attributes == attributes &&
                                               matches_signed(*one.string_at("value"),
                                                              percent_decode(c.value).value());
                                      }))
          << "no cookie " << one.dump();
    }
    auto& jar = jars_[jar_of(step)];
    for (const Cookie& c : cookies) {
      EXPECT_TRUE(listed.contains(c.name)) << "an extra cookie " << c.name;
      if (c.attributes.contains("Max-Age=0"))
        jar.erase(c.name);
      else
        jar[c.name] = c.value;
    }
  }

  const json::Value scenario_;
  const std::string base_;
  World world_;
  std::map<std::string, std::string> bound_;
  std::map<std::string, std::map<std::string, std::string>> jars_;
};

class Transcript : public ::testing::TestWithParam<std::tuple<store::Engine, std::string>> {};

TEST_P(Transcript, IsAnsweredAsBetterAuthDoes) {
  const auto& [engine, name] = GetParam();
  if (engine == store::Engine::postgres && store::test_postgres().empty())
    GTEST_SKIP() << "LATCHKEY_TEST_POSTGRES is not set; run under tests/postgres.sh";
  if (const auto why = skipped_scenario(name); !why.empty()) GTEST_SKIP() << why;
  Replay(engine, fixture(name)).play();
}

INSTANTIATE_TEST_SUITE_P(BetterAuth, Transcript,
                         ::testing::Combine(store::engines(), ::testing::ValuesIn(scenarios())),
                         [](const auto& info) {
                           std::string name = std::string(store::name(std::get<0>(info.param))) + "_" +
                                              std::get<1>(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace latchkey::auth::replay
