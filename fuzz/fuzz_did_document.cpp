// DID documents come from directories and web servers anybody can run.

#include <cstdlib>

#include "atproto/identity/did_document.h"
#include "base/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace latchkey;
  static const Did did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");
  const auto document = identity::DidDocument::parse(did, as_text({data, size}));
  if (!document) return 0;
  if (document->also_known_as.size() > identity::k_max_document_entries) std::abort();
  (void)document->handle();
  if (const auto key = document->signing_key(); key && !crypto::PublicKey::from_multibase(key->multibase()))
    std::abort();
  // What callers build request URLs from is an origin.
  if (const auto pds = document->pds()) {
    const auto url = Url::parse(*pds);
    if (!url || url->origin() != *pds) std::abort();
  }
  return 0;
}
