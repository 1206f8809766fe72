// The floors of DESIGN's budget: signatures, hashes, and the DPoP proof check made of them.
#include <benchmark/benchmark.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/password.h"
#include "oauth/dpop/dpop.h"
#include "oauth/dpop/nonces.h"
#include "oauth/dpop/replay_cache.h"
#include "oauth/jose/jwt.h"

using namespace latchkey;

namespace {

const Time k_now = from_unix_seconds(1'750'000'000);

crypto::PrivateKey key(crypto::Curve curve) {
  SeededRng rng;
  return crypto::PrivateKey::generate(curve, rng);
}
const Bytes& commit_bytes() {  // an unsigned commit is about this long
  static const Bytes bytes(200, 'x');
  return bytes;
}

void sign(benchmark::State& state, crypto::Curve curve) {
  const auto k = key(curve);
  for (auto _ : state) benchmark::DoNotOptimize(k.sign(commit_bytes()));
}
void verify(benchmark::State& state, crypto::Curve curve) {
  const auto k = key(curve);
  const auto pub = k.public_key();
  const auto s = k.sign(commit_bytes());
  for (auto _ : state)
    if (!pub.verify(commit_bytes(), s, crypto::HighS::refuse)) state.SkipWithError("does not verify");
}
void parse_key(benchmark::State& state, crypto::Curve curve) {
  const auto pub = key(curve).public_key();
  const auto x = pub.x(), y = pub.y();
  for (auto _ : state) benchmark::DoNotOptimize(crypto::PublicKey::from_coordinates(curve, x, y));
}
void parse_private_key(benchmark::State& state, crypto::Curve curve) {
  const auto scalar = key(curve).bytes();
  for (auto _ : state)
    benchmark::DoNotOptimize(crypto::PrivateKey::from_bytes(curve, scalar.reveal())->public_key());
}
BENCHMARK_CAPTURE(sign, ES256, crypto::Curve::p256);
BENCHMARK_CAPTURE(sign, ES256K, crypto::Curve::k256);
BENCHMARK_CAPTURE(verify, ES256, crypto::Curve::p256);
BENCHMARK_CAPTURE(verify, ES256K, crypto::Curve::k256);
BENCHMARK_CAPTURE(parse_key, P256, crypto::Curve::p256);
BENCHMARK_CAPTURE(parse_key, K256, crypto::Curve::k256);
BENCHMARK_CAPTURE(parse_private_key, P256, crypto::Curve::p256);
BENCHMARK_CAPTURE(parse_private_key, K256, crypto::Curve::k256);

void sha256(benchmark::State& state) {
  const Bytes data(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(crypto::sha256(data));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sha256)->Arg(64)->Arg(1024)->Arg(100'000);

void hmac_sha256(benchmark::State& state) {
  const Bytes k(32, 7);
  for (auto _ : state) benchmark::DoNotOptimize(crypto::hmac_sha256(k, commit_bytes()));
}
BENCHMARK(hmac_sha256);

void seal_and_open(benchmark::State& state) {
  OsRng rng;
  const crypto::Sealer sealer(Secret<Bytes>(Bytes(32, 7)));
  for (auto _ : state)
    if (!sealer.open(sealer.seal(commit_bytes(), "row", rng), "row")) state.SkipWithError("does not open");
}
BENCHMARK(seal_and_open);

void hash_password(benchmark::State& state) {
  SeededRng rng;
  for (auto _ : state) benchmark::DoNotOptimize(crypto::hash_password("correct horse", rng));
}
BENCHMARK(hash_password)->Unit(benchmark::kMillisecond);

void hs256_token_check(benchmark::State& state) {
  const Bytes secret(32, 7);
  const auto text = oauth::sign_hs256({{"typ", "at+jwt"}},
                                      {{"scope", "com.atproto.access"},
                                       {"sub", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"},
                                       {"iat", 1'750'000'000},
                                       {"exp", 1'750'007'200},
                                       {"aud", "did:web:pds.example"}},
                                      secret);
  for (auto _ : state) {
    const auto jwt = oauth::parse_compact(text);
    if (!jwt || !oauth::verify_hs256(*jwt, secret)) state.SkipWithError("does not verify");
  }
}
BENCHMARK(hs256_token_check);

enum class Cache { none, keys };
void dpop_proof_check(benchmark::State& state, Cache cache) {
  SeededRng rng;
  const auto k = key(crypto::Curve::p256);
  const std::string url = "https://pds.example/xrpc/com.atproto.server.getSession", token(400, 't');
  const oauth::DpopInput in{.proof = oauth::make_dpop_proof(k, "GET", url, "nonce", token, rng, k_now),
                            .method = "GET",
                            .uri = url,
                            .access_token = token};
  oauth::KeyCache keys;
  const oauth::DpopPolicy policy{.keys = cache == Cache::keys ? &keys : nullptr};
  for (auto _ : state)
    if (!oauth::check_dpop_proof(in, policy, k_now)) state.SkipWithError("does not verify");
}
BENCHMARK_CAPTURE(dpop_proof_check, cold_key, Cache::none);
BENCHMARK_CAPTURE(dpop_proof_check, cached_key, Cache::keys);

void dpop_nonce_check(benchmark::State& state) {
  const oauth::Nonces nonces(Secret<Bytes>(Bytes(32, 7)));
  const auto nonce = nonces.current(k_now);
  for (auto _ : state)
    if (!nonces.accepts(nonce, k_now)) state.SkipWithError("does not accept");
}
BENCHMARK(dpop_nonce_check);

void replay_cache_use(benchmark::State& state) {
  oauth::ReplayCache cache;
  std::int64_t i = 0;
  for (auto _ : state) {
    const Time now = k_now + std::chrono::milliseconds(++i);  // a thousand proofs a second
    if (cache.use("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", std::to_string(i),
                  now + std::chrono::minutes(5), now) != oauth::FirstUse::yes)
      state.SkipWithError("refused");
  }
}
BENCHMARK(replay_cache_use);

}  // namespace
