#include "atproto/repo/commit.h"

#include "atproto/cbor/cbor.h"

namespace latchkey::repo {

namespace {

constexpr std::int64_t k_version = 3;

// Members in DAG-CBOR order: did, rev, sig, data, prev, version.
Bytes write(const UnsignedCommit& commit, const Bytes* sig) {
  Bytes out;
  out.reserve(256);
  cbor::Writer w(out);
  w.map(sig ? 6 : 5);
  w.text("did");
  w.text(commit.did.str());
  w.text("rev");
  w.text(commit.rev.view());
  if (sig) {
    w.text("sig");
    w.bytes(*sig);
  }
  w.text("data");
  w.cid(commit.data);
  w.text("prev");
  if (commit.prev)
    w.cid(*commit.prev);
  else
    w.null();
  w.text("version");
  w.integer(k_version);
  return out;
}

auto bad(std::string why) { return fail(CommitError{std::move(why)}); }

}  // namespace

Bytes UnsignedCommit::encode() const { return write(*this, nullptr); }

Commit Commit::sign(UnsignedCommit commit, const crypto::PrivateKey& key) {
  const auto sig = key.sign(commit.encode());
  return {std::move(commit), Bytes(sig.begin(), sig.end())};
}

Bytes Commit::encode() const { return write(unsigned_part, &sig); }

bool Commit::verify(const crypto::PublicKey& key) const {
  return key.verify(unsigned_part.encode(), sig, crypto::HighS::refuse);
}

Result<Commit, CommitError> Commit::decode(BytesView block) {
  const auto value = cbor::decode(block);
  if (!value) return bad(std::string(value.error().message()));
  const std::string* did = value->string_at("did");
  const std::string* rev = value->string_at("rev");
  const Bytes* sig = value->bytes_at("sig");
  const Cid* data = value->cid_at("data");
  const cbor::Value* prev = value->find("prev");
  const std::int64_t* version = value->integer_at("version");
  if (!did || !rev || !sig || !data || !prev || !version || value->map()->size() != 6)
    return bad("not the fields of a commit");
  if (*version != k_version) return bad("commit version is not 3");
  if (!prev->is_null() && !prev->cid()) return bad("prev is neither null nor a link");
  // "Commit objects with non-compliant prev or data links are considered invalid."
  if (!data->is_dag_cbor() || (prev->cid() && !prev->cid()->is_dag_cbor()))
    return bad("link is not DAG-CBOR");
  const auto parsed_did = Did::parse(*did);
  if (!parsed_did) return bad(parsed_did.error().message);
  const auto parsed_rev = Tid::parse(*rev);
  if (!parsed_rev) return bad(parsed_rev.error().message);
  return Commit{.unsigned_part = {.did = *parsed_did,
                                  .data = *data,
                                  .rev = *parsed_rev,
                                  .prev = prev->cid() ? std::optional(*prev->cid()) : std::nullopt},
                .sig = *sig};
}

}  // namespace latchkey::repo
