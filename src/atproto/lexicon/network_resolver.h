#pragma once
// DNS names the repository, its PDS hands out the record with the proof that it is part of the repository.
// Nothing is remembered here but DID documents (by the identity resolver).

#include <chrono>

#include "atproto/identity/resolver.h"
#include "atproto/lexicon/resolver.h"
#include "base/fetch.h"

namespace latchkey::lexicon {

struct NetworkOptions {
  std::chrono::milliseconds timeout{5000};  // of the PDS's answer
};

class NetworkResolver final : public Resolver {
 public:
  NetworkResolver(NetworkOptions options, identity::Resolver& identities, Fetch& fetch, TxtLookup& dns)
      : options_(options), identities_(identities), fetch_(fetch), dns_(dns) {}

  Task<Result<Resolved, LexiconError>> resolve(Nsid nsid) override;

 private:
  Task<Result<Did, LexiconError>> authority_of(Nsid nsid);
  Task<Result<Resolved, LexiconError>> fetch_record(Nsid nsid, identity::DidDocument document);

  NetworkOptions options_;
  identity::Resolver& identities_;
  Fetch& fetch_;
  TxtLookup& dns_;
};

}  // namespace latchkey::lexicon
