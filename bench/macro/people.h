#pragma once
// Those who use the server: accounts with a password, and people who sign in to an app by e-mail code.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/key.h"
#include "drive.h"

namespace latchkey::bench {

struct Account {
  std::string did, handle, access_jwt, refresh_jwt;
};

/// Without a password: hashing it is meant to be slow and would drown the rest.
Account create_account(Connection& connection, const std::string& host, const std::string& name);
/// `count` posts by applyWrites, at most 200 a time.
void write_posts(Connection& connection, const std::string& host, const Account& account, std::size_t count);

std::string post_body(const Account& account, std::size_t i);  // of createRecord
json::Object post_record(std::size_t i);
std::string bearer(const std::string& token);  // header lines
inline constexpr std::string_view k_json_type = "Content-Type: application/json\r\n";
inline constexpr std::string_view k_form_type = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Throws with the body when the status is another one, or the body is no JSON.
json::Value expect_json(const Answer& answer, int status = 200);
std::string string_of(const json::Value& object, std::string_view member);

/// A person with an app on their own computer (a loopback client with a DPoP key of its own).
struct Person {
  explicit Person(std::string email, Rng& rng);
  std::string email;
  crypto::PrivateKey key;
  std::string verifier, state, cookies;  // cookies: a header line, or empty
  std::string did, access_token, refresh_token;
  std::string page_path, csrf;  // where the browser is
};

class App {
 public:
  App(const ServerProcess& server, Rng& rng, const Clock& clock)
      : server_(server), rng_(rng), clock_(clock) {}

  /// The server's current nonce, asked for.
  std::string nonce(Connection& connection) const;
  std::string proof(const Person& person, std::string_view method, std::string_view path,
                    const std::string& nonce, std::optional<std::string> access_token = {}) const;
  /// A pushed authorization request with a fresh verifier, as text.
  std::string pushed_request(Person& person, const std::string& nonce) const;
  std::string token_request(const std::string& proof, const std::string& form) const;
  std::string refresh_form(const std::string& refresh_token) const;
  /// DPoP headers of a request to the PDS.
  std::string resource_headers(const Person& person, std::string_view method, std::string_view path,
                               const std::string& nonce) const;

  /// Everybody signs in, step by step together, so that each step's cost can be told: {name, figures} in
  /// order. Reading the mailbox is not counted. A person signs up the first time.
  struct Step {
    std::string name;
    Figures figures;
  };
  std::vector<Step> sign_in(Driver& driver, std::vector<Person>& people) const;

 private:
  std::string client_id() const;
  const ServerProcess& server_;
  Rng& rng_;
  const Clock& clock_;
};

}  // namespace latchkey::bench
