#pragma once
// Handles that begin with what somebody types on the sign-in page, from an AppView of the operator's choice.
// The browser asks us and nobody else; what the AppView learns is those letters.
//
//   GET /sign-in/handles?q=ali    {"handles": ["alice.bsky.social", …]}
//
// Source: the lexicon app.bsky.actor.searchActorsTypeahead.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fetch.h"
#include "base/time.h"
#include "web/router.h"

namespace latchkey::service {

class HandleTypeahead {
 public:
  /// `app_view`: "https://public.api.bsky.app". `own_origin`: whose pages may ask.
  HandleTypeahead(std::string app_view, std::string own_origin, Fetch& fetch, const Clock& clock);

  /// 60 questions a minute from one client's network.
  void add_routes(web::Router& router);

 private:
  using Handles = std::vector<std::string>;
  struct Known {
    Time until;
    Handles handles;
  };

  Task<web::Response> answer(web::Request request);
  Task<Handles> begin_with(std::string q);
  std::optional<Handles> known(const std::string& q) const;
  void keep(const std::string& q, const Handles& handles);

  const std::string app_view_, own_origin_;
  Fetch& fetch_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Known> known_;  // for a minute, at most 500
};

}  // namespace latchkey::service
