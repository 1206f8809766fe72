#pragma once
// The signed commit object, version 3. Source: https://atproto.com/specs/repository#commit-objects

#include <optional>
#include <string>

#include "atproto/cid/cid.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/tid.h"
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace latchkey::repo {

struct CommitError {
  std::string message;
};

struct UnsignedCommit {
  Did did;
  Cid data;  // root of the tree
  Tid rev;
  std::optional<Cid> prev;  // there for version 2; we always write null

  /// The DAG-CBOR that is signed: all fields but `sig`.
  Bytes encode() const;
};

struct Commit {
  UnsignedCommit unsigned_part;
  Bytes sig;

  const Did& did() const { return unsigned_part.did; }
  const Cid& data() const { return unsigned_part.data; }
  const Tid& rev() const { return unsigned_part.rev; }

  static Commit sign(UnsignedCommit commit, const crypto::PrivateKey& key);
  /// Version 3 with exactly its fields; the signature is not checked.
  static Result<Commit, CommitError> decode(BytesView block);
  Bytes encode() const;
  /// False for a high-S signature.
  bool verify(const crypto::PublicKey& key) const;
};

}  // namespace latchkey::repo
