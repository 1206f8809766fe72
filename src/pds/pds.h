#pragma once
// The personal data server: its services and the routes they answer. apps/ and dev build one.
//
//   pds::Pds pds(config, {.db = db, .clock = clock, …});
//   co_await pds.resume_unfinished(pds::Unfinished::all);
//   server.mount("/", pds::routes(pds));          // pds::routes returns a web::Router

#include "atproto/identity/resolver.h"
#include "atproto/lexicon/resolver.h"
#include "pds/account_lifecycle.h"
#include "pds/account_service.h"
#include "pds/account_settings.h"
#include "pds/authenticator.h"
#include "pds/blob_service.h"
#include "pds/config.h"
#include "pds/did_docs.h"
#include "pds/handles.h"
#include "pds/identity_service.h"
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
  BlobStore& blobs;
  crypto::Sealer sealer;                   // for signing keys
  OauthVerifier* oauth = nullptr;          // null: no OAuth on resource routes
  identity::Resolver* resolver = nullptr;  // for handles of others; null: they are not found
  lexicon::Resolver* lexicons = nullptr;   // null: none is found
  AccountMailer* mailer = nullptr;         // null: what needs a mail is refused
  RecentSignIn recent_sign_in = {};        // null: no account without password is deleted over XRPC
};

class Pds {
 public:
  Pds(Config config, Parts parts);
  Pds(const Pds&) = delete;

  /// Finishes or removes what a crash or an unreachable directory has left, and what has become too old. How
  /// much is still open. Call it at start, before accepting requests, and now and then.
  Task<std::size_t> resume_unfinished(Unfinished which);

  const Config& config() const { return config_; }
  store::Database& db() { return shared_.db; }
  const Clock& clock() const { return shared_.clock; }
  const Shared& shared() const { return shared_; }
  const HandleRules& handles() const { return handles_; }
  BlobService& blobs() { return blobs_; }
  RepoService& repos() { return repos_; }
  AccountService& accounts() { return accounts_; }
  SessionService& sessions() { return sessions_; }
  AccountSettings& settings() { return settings_; }
  IdentityService& identity() { return identity_; }
  AccountLifecycle& lifecycle() { return lifecycle_; }
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
  BlobService blobs_;
  RepoService repos_;
  AccountService accounts_;
  SessionService sessions_;
  DidDocs did_docs_;
  AccountSettings settings_;
  IdentityService identity_;
  AccountLifecycle lifecycle_;
  Authenticator authenticator_;
};

/// /xrpc/…, /.well-known/atproto-did, /robots.txt and /. `pds` must outlive the router.
web::Router routes(Pds& pds);

}  // namespace latchkey::pds
