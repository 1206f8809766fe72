// DAG-CBOR and its JSON form, on a post with two facets, an image and a reply: about the size of a common
// record.
#include <benchmark/benchmark.h>

#include "atproto/cbor/cbor.h"
#include "atproto/cbor/json.h"

using namespace latchkey;

namespace {

constexpr std::string_view k_post = R"({
  "$type": "app.bsky.feed.post",
  "text": "A longer post with a link to example.com and a mention of @alice.test, as people write them — über alles ☎",
  "createdAt": "2025-06-15T14:26:40.123Z",
  "langs": ["en", "de"],
  "facets": [
    {"index": {"byteStart": 29, "byteEnd": 40},
     "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/"}]},
    {"index": {"byteStart": 58, "byteEnd": 69},
     "features": [{"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}]}
  ],
  "reply": {
    "root": {"uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3k5nobkf2w72g",
             "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"},
    "parent": {"uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3k5nobkf2w72g",
               "cid": "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"}
  },
  "embed": {
    "$type": "app.bsky.embed.images",
    "images": [{
      "alt": "Someone holds a key in front of a door",
      "aspectRatio": {"width": 1600, "height": 900},
      "image": {"$type": "blob", "mimeType": "image/jpeg", "size": 312345,
                "ref": {"$link": "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"}}
    }]
  }
})";

const json::Value& post_json() {
  static const json::Value value = json::parse(k_post).value();
  return value;
}
const cbor::Value& post() {
  static const cbor::Value value = cbor::from_json(post_json()).value();
  return value;
}
const Bytes& block() {
  static const Bytes bytes = cbor::encode(post());
  return bytes;
}
void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * block().size()));
}

void encode(benchmark::State& state) {
  Bytes out;
  for (auto _ : state) {
    out.clear();
    cbor::encode_to(post(), out);
    benchmark::DoNotOptimize(out.data());
  }
  count_bytes(state);
}
BENCHMARK(encode);

void decode(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(cbor::decode(block()));
  count_bytes(state);
}
BENCHMARK(decode);

void validate(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(cbor::validate(block()));
  count_bytes(state);
}
BENCHMARK(validate);

void write_json(benchmark::State& state) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(cbor::write_json(block(), out));
  }
  count_bytes(state);
}
BENCHMARK(write_json);

void json_to_cbor(benchmark::State& state) {  // what createRecord does with its body
  for (auto _ : state) benchmark::DoNotOptimize(cbor::encode(*cbor::from_json(*json::parse(k_post))));
  count_bytes(state);
}
BENCHMARK(json_to_cbor);

void cid_of_block(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Cid::of_dag_cbor(block()));
  count_bytes(state);
}
BENCHMARK(cid_of_block);

void cid_text(benchmark::State& state) {
  const Cid cid = Cid::of_dag_cbor(block());
  for (auto _ : state) benchmark::DoNotOptimize(Cid::parse(cid.str()));
}
BENCHMARK(cid_text);

}  // namespace
