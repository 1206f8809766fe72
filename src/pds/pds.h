#pragma once
// The personal data server: its services and the routes they answer. apps/ and dev build one.
//
//   pds::Pds pds(config, {.db = db, .clock = clock, …});
//   co_await pds.accounts().resume_unfinished(pds::Unfinished::all);
//   server.mount("/", pds::routes(pds));          // pds::routes returns a web::Router

#include "atproto/identity/resolver.h"
#include "atproto/lexicon/resolver.h"
#include "pds/account_service.h"
#include "pds/authenticator.h"
#include "pds/config.h"
#include "pds/did_docs.h"
#include "pds/handles.h"
#include "pds/repo_service.h"
#include "pds/session_service.h"
#include "web/router.h"

namespace latchkey::pds {

struct Parts {
  store::Database& db;  // migrated with pds::migrations()
  const Clock& clock;
  Rng& rng;
  ThreadPool& passwords;  // small: each job takes 16 MiB
  ThreadPool& reads;
  PlcClient& plc;
  crypto::Sealer sealer;                   // for signing keys
  OauthVerifier* oauth = nullptr;          // null: no OAuth on resource routes
  identity::Resolver* resolver = nullptr;  // for handles of others; null: they are not found
  lexicon::Resolver* lexicons = nullptr;   // null: none is found
};

class Pds {
 public:
  Pds(Config config, Parts parts);
  Pds(const Pds&) = delete;

  const Config& config() const { return config_; }
  store::Database& db() { return shared_.db; }
  const Clock& clock() const { return shared_.clock; }
  const Shared& shared() const { return shared_; }
  const HandleRules& handles() const { return handles_; }
  RepoService& repos() { return repos_; }
  AccountService& accounts() { return accounts_; }
  SessionService& sessions() { return sessions_; }
  DidDocs& did_docs() { return did_docs_; }
  Authenticator& authenticator() { return authenticator_; }
  identity::Resolver* resolver() { return resolver_; }
  lexicon::Resolver* lexicons() { return lexicons_; }

 private:
  const Config config_;
  const Shared shared_;
  const crypto::Sealer sealer_;
  identity::Resolver* const resolver_;
  lexicon::Resolver* const lexicons_;
  const HandleRules handles_;
  RepoService repos_;
  AccountService accounts_;
  SessionService sessions_;
  DidDocs did_docs_;
  Authenticator authenticator_;
};

/// /xrpc/…, /.well-known/atproto-did, /robots.txt and /. `pds` must outlive the router.
web::Router routes(Pds& pds);

}  // namespace latchkey::pds
