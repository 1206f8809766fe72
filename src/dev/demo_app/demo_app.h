#pragma once
// A small app that signs people in with our own OAuth client: by e-mail (Flow 1), by button (Flow 2) and by
// handle.

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
};

/// The client metadata of a demo app at `origin`: a loopback client with the callback `<origin>/callback`.
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
