#pragma once
// From an NSID to the lexicon its authority publishes.
// Source: https://atproto.com/specs/lexicon#lexicon-publication-and-resolution

#include <string>

#include "atproto/cid/cid.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/nsid.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"

namespace latchkey::lexicon {

enum class Error {
  not_found,    // the authority publishes no such lexicon
  invalid,      // what stands there is forged, broken, or the lexicon of something else
  unreachable,  // a name server, directory or PDS did not answer: later it may
};

struct LexiconError {
  Error code;
  std::string detail;  // logs only
};

struct Resolved {
  Nsid nsid;
  Did did;          // the repository it is published in
  Cid cid;          // of the record
  std::string uri;  // at://<did>/com.atproto.lexicon.schema/<nsid>
  json::Value document;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  virtual Task<Result<Resolved, LexiconError>> resolve(Nsid nsid) = 0;
};

}  // namespace latchkey::lexicon
