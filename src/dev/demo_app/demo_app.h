#pragma once
// A small app that signs people in with our own OAuth client: by e-mail (Flow 1), by button (Flow 2) and by
// handle.
//
//   GET  /           three ways in            POST /login     off to the authorization server
//   GET  /callback   back from there          GET  /account   who is signed in
//   POST /record     writes a note and reads it back
//   POST /refresh    a new access token       POST /logout    revokes and forgets

#include <memory>
#include <string>

#include "base/rng.h"
#include "base/time.h"
#include "oauth/client/client.h"
#include "web/router.h"
#include "web/template.h"

namespace latchkey::dev {

struct DemoAppOptions {
  std::string origin;   // where browsers reach the app: "http://127.0.0.1:8080"
  std::string pds_url;  // where Flow 1 and Flow 2 sign in
  std::string mailbox_url;
  std::string plc_url = {};
  std::size_t max_sessions = 1000;  // signed-in browsers; the longest idle one makes room
};

/// The client metadata of a demo app at `origin`: a loopback client with the callback `<origin>/callback`.
/// Throws std::invalid_argument when the origin is not http on a loopback address.
oauth::client::ClientMetadata demo_client_metadata(const std::string& origin);

class DemoApp {
 public:
  DemoApp(DemoAppOptions options, oauth::client::OauthClient& client, const web::Templates& templates,
          Rng& rng, const Clock& clock);
  ~DemoApp();
  DemoApp(const DemoApp&) = delete;
  /// Adds the app's routes. The object must outlive the router.
  void add_routes(web::Router& router);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::dev
