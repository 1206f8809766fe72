#pragma once
// What a program asks about accounts and servers of others, and with what: the network as it is, or as
// `latchkey dev` plays it.

#include <optional>
#include <string>

#include "atproto/identity/resolver.h"
#include "base/rng.h"
#include "base/time.h"
#include "oauth/client/client.h"
#include "web/client.h"
#include "web/dns.h"

namespace examples {

using namespace latchkey;
namespace client = latchkey::oauth::client;

/// Where `latchkey dev` has its servers, instead of the network.
struct DevNetwork {
  std::string pds, plc;
};

struct Network {
  explicit Network(const std::optional<DevNetwork>& dev)
      : fetch({.guard = dev ? web::Guard::local_network : web::Guard::strict}),
        resolver(dev ? identity::ResolverOptions{.plc_url = dev->plc,
                                                 .dev_handle_host = dev->pds,
                                                 .development = true}
                     : identity::ResolverOptions{},
                 fetch, &dns, clock),
        plain_http(dev ? client::PlainHttp::loopback : client::PlainHttp::refuse) {}

  SystemClock clock;
  OsRng rng;
  web::GuardedClient fetch;
  web::DnsResolver dns;
  identity::Resolver resolver;
  client::PlainHttp plain_http;
};

}  // namespace examples
