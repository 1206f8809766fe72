#include "people.h"

#include <fmt/format.h>

#include <map>
#include <stdexcept>

#include "base/url.h"
#include "oauth/dpop/dpop.h"
#include "oauth/pkce/pkce.h"

namespace latchkey::bench {
namespace {

constexpr std::string_view k_redirect_uri = "http://127.0.0.1/callback";
constexpr std::string_view k_scope = "atproto transition:generic";

// Attribute values of our own pages hold nothing dearer than &amp;.
std::string unescaped(std::string text) {
  for (const auto& [name, character] : {std::pair{"&amp;", "&"}, {"&#x2F;", "/"}, {"&#x3D;", "="}})
    for (std::size_t at; (at = text.find(name)) != std::string::npos;)
      text.replace(at, std::string_view(name).size(), character);
  return text;
}

std::string between(std::string_view text, std::string_view before, std::string_view after,
                    std::size_t from = 0) {
  const auto begin = text.find(before, from);
  if (begin == std::string_view::npos) throw std::runtime_error(fmt::format("a page without {}", before));
  const auto start = begin + before.size(), end = text.find(after, start);
  return std::string(text.substr(start, end - start));
}

// The form whose action is `path`: its address and its CSRF token go to the person.
void find_form(Person& person, const Answer& page, std::string_view path) {
  const auto opening = fmt::format("action=\"{}", path);
  const auto at = page.body.find(opening);
  if (at == std::string::npos) {
    const auto escaped = page.body.find("<form");
    throw std::runtime_error(fmt::format("no form for {} at {}: {}", path, person.page_path,
                                         page.body.substr(escaped == std::string::npos ? 0 : escaped, 300)));
  }
  person.page_path = unescaped(between(page.body, "action=\"", "\"", at));
  person.csrf = unescaped(between(page.body, "name=\"csrf\" value=\"", "\"", at));
}

void take_cookies(Person& person, const Answer& answer) {
  std::map<std::string, std::string> jar;
  std::string_view have = person.cookies;
  if (!have.empty()) have = have.substr(8, have.size() - 10);  // "Cookie: …\r\n"
  while (!have.empty()) {
    const auto end = have.find("; ");
    const auto pair = have.substr(0, end);
    jar[std::string(pair.substr(0, pair.find('=')))] = pair.substr(pair.find('=') + 1);
    have = end == std::string_view::npos ? std::string_view() : have.substr(end + 2);
  }
  for (const auto& line : answer.headers("set-cookie")) {
    const auto pair = line.substr(0, line.find(';'));
    jar[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
  }
  person.cookies.clear();
  for (const auto& [name, value] : jar)
    person.cookies += (person.cookies.empty() ? "Cookie: " : "; ") + name + "=" + value;
  if (!person.cookies.empty()) person.cookies += "\r\n";
}

}  // namespace

json::Value expect_json(const Answer& answer, int status) {
  auto value = json::parse(answer.body);
  if (answer.status != status || !value)
    throw std::runtime_error(fmt::format("answer {} instead of {}: {}", answer.status, status, answer.body));
  return *std::move(value);
}

std::string string_of(const json::Value& object, std::string_view member) {
  const auto* text = object.string_at(member);
  if (!text) throw std::runtime_error(fmt::format("an answer without {}", member));
  return *text;
}

std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

Account create_account(Connection& connection, const std::string& host, const std::string& name) {
  const json::Object input{{"handle", name + ".test"}, {"email", name + "@example.com"}};
  const auto answer = expect_json(connection.ask(request_text(
      "POST", host, "/xrpc/com.atproto.server.createAccount", k_json_type, json::Value(input).dump())));
  return {.did = string_of(answer, "did"),
          .handle = string_of(answer, "handle"),
          .access_jwt = string_of(answer, "accessJwt"),
          .refresh_jwt = string_of(answer, "refreshJwt")};
}

json::Object post_record(std::size_t i) {
  return {
      {"$type", "app.bsky.feed.post"},
      {"text", fmt::format("Post number {} of a load that is as long as people's posts are on average", i)},
      {"createdAt", "2026-01-01T00:00:00.000Z"},
      {"langs", json::Array{"en"}}};
}

std::string post_body(const Account& account, std::size_t i) {
  return json::Value(json::Object{{"repo", account.did},
                                  {"collection", "app.bsky.feed.post"},
                                  {"record", post_record(i)}})
      .dump();
}

void write_posts(Connection& connection, const std::string& host, const Account& account, std::size_t count) {
  for (std::size_t done = 0; done < count;) {
    json::Array writes;
    for (; writes.size() < 200 && done < count; ++done)
      writes.push_back(json::Object{{"$type", "com.atproto.repo.applyWrites#create"},
                                    {"collection", "app.bsky.feed.post"},
                                    {"value", post_record(done)}});
    const json::Object input{{"repo", account.did}, {"writes", std::move(writes)}};
    expect_json(connection.ask(request_text("POST", host, "/xrpc/com.atproto.repo.applyWrites",
                                            std::string(k_json_type) + bearer(account.access_jwt),
                                            json::Value(input).dump())));
  }
}

Person::Person(std::string address, Rng& rng)
    : email(std::move(address)), key(crypto::PrivateKey::generate(crypto::Curve::p256, rng)) {}

std::string App::client_id() const {
  return "http://localhost?" +
         encode_form({{"redirect_uri", std::string(k_redirect_uri)}, {"scope", std::string(k_scope)}});
}

std::string App::proof(const Person& person, std::string_view method, std::string_view path,
                       const std::string& nonce, std::optional<std::string> access_token) const {
  return oauth::make_dpop_proof(person.key, method, fmt::format("http://{}{}", server_.pds_host(), path),
                                nonce, access_token, rng_, clock_.now());
}

std::string App::nonce(Connection& connection) const {
  const auto answer =
      connection.ask(request_text("POST", server_.pds_host(), "/oauth/par", k_form_type, "client_id=x"));
  auto nonce = answer.header("dpop-nonce");
  if (!nonce.empty()) return nonce;
  // Some servers say it only to those who bring a proof.
  Person nobody("", rng_);
  const auto bare =
      oauth::make_dpop_proof(nobody.key, "POST", fmt::format("http://{}/oauth/par", server_.pds_host()),
                             std::nullopt, std::nullopt, rng_, clock_.now());
  nonce = connection
              .ask(request_text("POST", server_.pds_host(), "/oauth/par",
                                fmt::format("{}DPoP: {}\r\n", k_form_type, bare), "client_id=x"))
              .header("dpop-nonce");
  if (nonce.empty()) throw std::runtime_error("the server gives no DPoP nonce");
  return nonce;
}

std::string App::pushed_request(Person& person, const std::string& nonce) const {
  person.verifier = oauth::make_pkce_verifier(rng_);
  person.state = rng_.token(16);
  const FormFields form{{"client_id", client_id()},
                        {"response_type", "code"},
                        {"redirect_uri", std::string(k_redirect_uri)},
                        {"scope", std::string(k_scope)},
                        {"state", person.state},
                        {"code_challenge", oauth::pkce_challenge(person.verifier)},
                        {"code_challenge_method", "S256"}};
  return request_text("POST", server_.pds_host(), "/oauth/par",
                      fmt::format("{}DPoP: {}\r\n", k_form_type, proof(person, "POST", "/oauth/par", nonce)),
                      encode_form(form));
}

std::string App::token_request(const std::string& proof, const std::string& form) const {
  return request_text("POST", server_.pds_host(), "/oauth/token",
                      fmt::format("{}DPoP: {}\r\n", k_form_type, proof), form);
}

std::string App::refresh_form(const std::string& refresh_token) const {
  return encode_form(
      {{"grant_type", "refresh_token"}, {"refresh_token", refresh_token}, {"client_id", client_id()}});
}

std::string App::resource_headers(const Person& person, std::string_view method, std::string_view path,
                                  const std::string& nonce) const {
  return fmt::format("Authorization: DPoP {}\r\nDPoP: {}\r\n", person.access_token,
                     proof(person, method, path, nonce, person.access_token));
}

std::vector<App::Step> App::sign_in(Driver& driver, std::vector<Person>& people) const {
  std::vector<Step> steps;
  const auto host = server_.pds_host();
  const auto together = [&](std::string name, int status, auto request, auto seen) {
    std::vector<std::string> requests;
    for (auto& person : people) requests.push_back(request(person));
    auto figures =
        driver.run({.connections = people.size(),
                    .each = 1,
                    .expected_status = status,
                    .seen = [&](std::size_t c, std::size_t, const Answer& a) { seen(people[c], a); }},
                   [&](std::size_t c, std::size_t, const Answer*) { return requests[c]; });
    steps.push_back({std::move(name), std::move(figures)});
  };
  const auto open = [&](const Person& p) {
    return request_text("GET", host, p.page_path, "Accept: text/html\r\n" + p.cookies);
  };
  const auto submit = [&](const Person& p, FormFields fields) {
    fields.insert(fields.begin(), {"csrf", p.csrf});
    return request_text(
        "POST", host, p.page_path,
        fmt::format("{}Accept: text/html\r\nOrigin: http://{}\r\nSec-Fetch-Site: same-origin\r\n{}",
                    k_form_type, host, p.cookies),
        encode_form(fields));
  };
  const auto moved = [&](Person& p, const Answer& a) {
    take_cookies(p, a);
    auto to = a.header("location");
    if (const auto url = Url::parse(to); url && url->authority() == host)
      to = url->path + (url->query ? "?" + *url->query : "");
    p.page_path = to;
  };

  const auto fresh = nonce(driver.connection(0));
  together(
      "PAR", 201, [&](Person& p) { return pushed_request(p, fresh); },
      [&](Person& p, const Answer& a) {
        const auto pushed = expect_json(a, 201);
        p.page_path = "/oauth/authorize?" + encode_form({{"client_id", client_id()},
                                                         {"request_uri", string_of(pushed, "request_uri")}});
      });
  together("GET authorize", 200, open, [&](Person& p, const Answer& a) {
    take_cookies(p, a);
    find_form(p, a, "/auth/email");
  });
  together("POST email", 303, [&](Person& p) { return submit(p, {{"email", p.email}}); }, moved);
  together("GET code page", 200, open, [&](Person& p, const Answer& a) { find_form(p, a, "/auth/verify"); });

  std::map<std::string, std::string> codes;
  Connection mailbox(server_.mailbox_port());
  for (const auto& person : people) {
    const auto mails =
        expect_json(mailbox.ask(request_text("GET", fmt::format("localhost:{}", server_.mailbox_port()),
                                             "/api/messages?" + encode_form({{"to", person.email}}), "")));
    if (!mails.array() || mails.array()->empty()) throw std::runtime_error("no mail came");
    std::string digits;
    for (const char c : string_of(mails.array()->back(), "subject")) {
      if (c >= '0' && c <= '9')
        digits += c;
      else if (digits.size() < 8)
        digits.clear();
    }
    codes[person.email] = digits.substr(0, 8);
  }

  together("POST code", 303, [&](Person& p) { return submit(p, {{"code", codes[p.email]}}); }, moved);
  together("GET complete", 303, open, moved);
  if (people.front().page_path.starts_with("/auth/consent")) {
    together("GET consent", 200, open, [&](Person& p, const Answer& a) { find_form(p, a, "/auth/consent"); });
    together("POST consent", 303, [&](Person& p) { return submit(p, {{"action", "approve"}}); }, moved);
  }
  together(
      "POST token", 200,
      [&](Person& p) {
        const auto back = Url::parse(p.page_path);
        const auto query = back && back->query ? parse_form(*back->query) : std::nullopt;
        const auto code = query ? single(*query, "code") : std::nullopt;
        if (!code) throw std::runtime_error("no code in " + p.page_path);
        return token_request(proof(p, "POST", "/oauth/token", fresh),
                             encode_form({{"grant_type", "authorization_code"},
                                          {"code", *code},
                                          {"redirect_uri", std::string(k_redirect_uri)},
                                          {"code_verifier", p.verifier},
                                          {"client_id", client_id()}}));
      },
      [&](Person& p, const Answer& a) {
        const auto tokens = expect_json(a);
        p.access_token = string_of(tokens, "access_token");
        p.refresh_token = string_of(tokens, "refresh_token");
        p.did = string_of(tokens, "sub");
      });
  return steps;
}

}  // namespace latchkey::bench
