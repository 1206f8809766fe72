// https://atproto.com/specs/blob#blob-lifecycle
#include <gmock/gmock.h>

#include "atproto/cbor/cbor.h"
#include "pds/account_archive.h"
#include "pds/blob_rules.h"
#include "pds/blob_testing.h"
#include "pds/events.h"

namespace latchkey::pds {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Blobs : public store::EngineTest {};
INSTANTIATE_TEST_SUITE_P(Store, Blobs, store::engines(), store::engine_name);

TEST_P(Blobs, AreTemporaryUntilARecordRefersToThem) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto got = w.upload(k_png, "image/png", alice.access);
  ASSERT_EQ(got.status, 200) << got.text;
  const std::string cid = Cid::of_raw(as_bytes(k_png)).str();
  EXPECT_EQ(got.text, R"({"blob":{"$type":"blob","ref":{"$link":")" + cid +
                          R"("},"mimeType":"image/png","size":)" + std::to_string(k_png.size()) + "}}");
  const auto hidden = w.get_blob(alice, cid);
  EXPECT_EQ(hidden.status, 400);
  EXPECT_EQ(hidden.error(), "BlobNotFound");
  EXPECT_THAT(w.list_blobs(alice), IsEmpty());

  EXPECT_EQ(w.create(alice, "one", *got.body.find("blob")).status, 200);
  const auto shown = w.get_blob(alice, cid);
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ(shown.text, k_png);
  EXPECT_EQ(shown.headers.get("content-type"), "image/png");
  EXPECT_EQ(shown.headers.get("x-content-type-options"), "nosniff");
  EXPECT_EQ(shown.headers.get("content-disposition"), "attachment; filename=\"" + cid + "\"");
  EXPECT_EQ(shown.headers.get("content-security-policy"), "default-src 'none'; sandbox");
  EXPECT_THAT(w.list_blobs(alice), ElementsAre(cid));
}

TEST_P(Blobs, GoWithTheirLastReference) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto blob = w.blob(k_png, alice);
  const std::string cid = BlobWorld::cid_of(blob);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  EXPECT_EQ(w.create(alice, "two", blob).status, 200);
  EXPECT_EQ(w.write("deleteRecord", alice, "one", std::nullopt).status, 200);
  EXPECT_EQ(w.get_blob(alice, cid).status, 200) << "the other record still refers to it";
  EXPECT_EQ(w.write("putRecord", alice, "two", json::Object{{"picture", blob}, {"n", 1}}).status, 200);
  EXPECT_EQ(w.get_blob(alice, cid).status, 200) << "the new version refers to it too";
  EXPECT_EQ(w.write("putRecord", alice, "two", json::Object{{"n", 2}}).status, 200);
  EXPECT_EQ(w.get_blob(alice, cid).error(), "BlobNotFound");
  EXPECT_EQ(w.files(), 0u);
  EXPECT_EQ(w.rows(), 0);
  EXPECT_EQ(w.create(alice, "three", blob).error(), "BlobNotFound") << "it has to be uploaded again";
  EXPECT_EQ(w.create(alice, "three", w.blob(k_png, alice)).status, 200);
}

TEST_P(Blobs, FollowEveryWriteOfABatch) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto one = w.blob(k_png + "1", alice), two = w.blob(k_png + "2", alice);
  const auto write = [](const char* kind, const char* rkey, std::optional<json::Value> blob) {
    json::Object out{{"$type", std::string("com.atproto.repo.applyWrites#") + kind},
                     {"collection", std::string(k_collection)},
                     {"rkey", rkey}};
    if (blob) out.set("value", json::Object{{"picture", *blob}});
    return out;
  };
  const auto apply = [&](json::Array writes) {
    return w.post("com.atproto.repo.applyWrites",
                  json::Object{{"repo", alice.did.str()}, {"writes", std::move(writes)}}, alice.access);
  };
  EXPECT_EQ(apply({write("create", "a", one), write("create", "b", two)}).status, 200);
  EXPECT_THAT(w.list_blobs(alice), UnorderedElementsAre(BlobWorld::cid_of(one), BlobWorld::cid_of(two)));
  // One record gives up what another takes, in one commit.
  EXPECT_EQ(apply({write("delete", "a", std::nullopt), write("update", "b", one)}).status, 200);
  EXPECT_THAT(w.list_blobs(alice), ElementsAre(BlobWorld::cid_of(one)));
  EXPECT_EQ(w.files(), 1u);
  // All or nothing.
  EXPECT_EQ(apply({write("delete", "b", std::nullopt), write("create", "c", two)}).error(), "BlobNotFound");
  EXPECT_EQ(w.get_blob(alice, BlobWorld::cid_of(one)).status, 200);
}

TEST_P(Blobs, AreNamedInTheEventOfTheCommit) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto blob = w.blob(k_png, alice);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  const auto events = w.World::write([](store::Tx& tx) {
    events::number_pending(tx, 100);
    return events::after(tx, 0, 100);
  });
  const auto message = cbor::decode(events.back().payload).value();
  const auto* named = message.map()->find("blobs")->array();
  ASSERT_EQ(named->size(), 1u);
  EXPECT_EQ(named->front().cid()->str(), BlobWorld::cid_of(blob));
}

TEST_P(Blobs, UploadedAgainStayAsTheyAre) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const std::string text = "some words";
  w.blob(text, alice, "text/plain");
  const auto blob = w.blob(text, alice, "text/markdown");
  EXPECT_EQ(*blob.string_at("mimeType"), "text/markdown") << "while it is temporary the last one counts";
  EXPECT_EQ(w.files(), 1u);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  const auto again = w.blob(text, alice, "text/plain");
  EXPECT_EQ(*again.string_at("mimeType"), "text/markdown");
  EXPECT_EQ(w.files(), 1u);
  w.clock.advance(BlobService::k_temporary_lifetime + 1s);
  run(w.pds().blobs().expire());
  EXPECT_EQ(w.get_blob(alice, BlobWorld::cid_of(blob)).text, text);
}

TEST_P(Blobs, NobodyRefersToAreDroppedAfterTheirTime) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto never = w.blob(k_png + "1", alice), used = w.blob(k_png + "2", alice);
  EXPECT_EQ(w.create(alice, "one", used).status, 200);
  w.clock.advance(BlobService::k_temporary_lifetime - 1s);
  run(w.pds().resume_unfinished(Unfinished::abandoned));
  EXPECT_EQ(w.files(), 2u);
  w.clock.advance(1s);
  run(w.pds().resume_unfinished(Unfinished::abandoned));
  EXPECT_EQ(w.files(), 1u);
  EXPECT_EQ(w.get_blob(alice, BlobWorld::cid_of(used)).status, 200);
  EXPECT_EQ(w.create(w.again(alice), "two", never).error(), "BlobNotFound");
}

TEST_P(Blobs, AreListedInPagesAndSinceARevision) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  std::vector<std::string> cids;
  std::string rev;
  for (int i = 0; i < 5; ++i) {
    const auto blob = w.blob(k_png + std::to_string(i), alice);
    cids.push_back(BlobWorld::cid_of(blob));
    const auto got = w.create(alice, "r" + std::to_string(i), blob);
    if (i == 2) rev = *got.body.find("commit")->string_at("rev");
  }
  EXPECT_THAT(w.list_blobs(alice, "&since=" + rev), UnorderedElementsAre(cids[3], cids[4]));
  std::vector<std::string> paged;
  std::string cursor;
  for (int pages = 0; pages < 10; ++pages) {
    const auto got = w.get("/xrpc/com.atproto.sync.listBlobs?did=" + alice.did.str() + "&limit=2" + cursor);
    for (const auto& cid : *got.body.find("cids")->array()) paged.push_back(*cid.string());
    const auto* next = got.body.string_at("cursor");
    if (!next) break;
    cursor = "&cursor=" + *next;
  }
  EXPECT_THAT(paged, ::testing::UnorderedElementsAreArray(cids));
  const auto status = [&](const std::string& more) {
    return w.get("/xrpc/com.atproto.sync.listBlobs?did=" + alice.did.str() + more).status;
  };
  EXPECT_EQ(status("&limit=1"), 200);
  EXPECT_EQ(status("&limit=1000"), 200);
  EXPECT_EQ(status("&limit=0"), 400);
  EXPECT_EQ(status("&limit=1001"), 400);
  EXPECT_EQ(status("&since=yesterday"), 400);
}

TEST_P(Blobs, MissingOnesAreNamedUntilTheyArrive) {  // a repository that moved in ahead of its blobs
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto cid = Cid::of_raw(as_bytes(k_png)), other = Cid::of_raw(as_bytes(k_png + "2"));
  w.World::write([&, id = w.account(alice).id](store::Tx& tx) {
    blobs::add_reference(tx, id, "com.example.note/b", "3jzfcijpj2z2a", cid);
    blobs::add_reference(tx, id, "com.example.note/a", "3jzfcijpj2z2a", cid);
    blobs::add_reference(tx, id, "com.example.note/a", "3jzfcijpj2z2a", other);
  });
  const auto missing = [&](const std::string& more = {}) {
    return w.get("/xrpc/com.atproto.repo.listMissingBlobs" + more, alice.access);
  };
  EXPECT_EQ(missing().body.find("blobs")->array()->size(), 2u);
  EXPECT_EQ(missing("?limit=1").body.find("blobs")->array()->size(), 1u);
  const auto first = missing("?limit=1").text_at("cursor");
  EXPECT_EQ(missing("?cursor=" + first).body.find("blobs")->array()->size(), 1u);
  EXPECT_EQ(missing("?limit=0").status, 400);
  EXPECT_EQ(missing("?limit=1001").status, 400);
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.listMissingBlobs").status, 401);
  const auto counts = [&] {
    const auto got = w.get("/xrpc/com.atproto.server.checkAccountStatus", alice.access);
    return std::pair(*got.body.find("expectedBlobs")->integer(), *got.body.find("importedBlobs")->integer());
  };
  EXPECT_EQ(counts(), std::pair(std::int64_t{2}, std::int64_t{0}));

  // Deactivated accounts may upload, and it counts as referred to at once.
  EXPECT_EQ(w.post("com.atproto.server.deactivateAccount", json::Object{}, alice.access).status, 200);
  w.blob(k_png, alice);
  EXPECT_EQ(missing().text, R"({"blobs":[{"cid":")" + other.str() + R"(","recordUri":"at://)" +
                                alice.did.str() + R"(/com.example.note/a"}]})");
  EXPECT_EQ(counts(), std::pair(std::int64_t{2}, std::int64_t{1}));
  w.clock.advance(BlobService::k_temporary_lifetime + 1s);
  run(w.pds().blobs().expire());
  EXPECT_EQ(w.files(), 1u);
}

TEST_P(Blobs, GoWithTheirAccount) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice"), bob = w.sign_up("bob");
  EXPECT_EQ(w.create(alice, "one", w.blob(k_png, alice)).status, 200);
  w.blob(k_png + "temporary", alice);
  EXPECT_EQ(w.create(bob, "one", w.blob(k_png, bob)).status, 200);
  EXPECT_EQ(w.files(), 3u);
  EXPECT_TRUE(run(w.pds().lifecycle().delete_account(w.account(alice))));
  EXPECT_EQ(w.files(), 1u);
  EXPECT_EQ(w.rows(), 1);
  EXPECT_EQ(w.get_blob(bob, Cid::of_raw(as_bytes(k_png)).str()).status, 200);
}

TEST_P(Blobs, OfACrashAreFoundAtTheNextStart) {
  BlobWorld w(GetParam());
  const auto alice = w.sign_up("alice");
  const auto id = w.account(alice).id;
  const auto kept = w.blob(k_png, alice);
  EXPECT_EQ(w.create(alice, "one", kept).status, 200);
  auto& store = w.process.blob_store;
  TidClock tids(3);
  // Killed while it arrived, between the file and its row, and between the row's end and the file's.
  auto arriving = run(store.create(id, tids.next(w.clock.now())));
  auto before_row = run(store.create(id, tids.next(w.clock.now())));
  run(before_row->keep(Cid::of_raw(as_bytes("before"))));
  auto after_row = run(store.create(999, tids.next(w.clock.now())));
  run(after_row->keep(Cid::of_raw(as_bytes("after"))));
  // An upload of the same bytes whose row named another file.
  auto second = run(store.create(id, tids.next(w.clock.now())));
  run(second->keep(Cid::of_raw(as_bytes(k_png))));
  EXPECT_EQ(w.files(), 5u);

  w.clock.advance(GetParam() == store::Engine::sqlite ? 1s : BlobService::k_longest_upload);
  auto young = run(store.create(id, tids.next(w.clock.now() + 1s)));
  run(young->keep(Cid::of_raw(as_bytes("young"))));
  run(w.pds().resume_unfinished(Unfinished::abandoned));
  EXPECT_EQ(w.files(), 6u) << "not while others may be at work";
  w.clock.advance(1ms);
  run(w.pds().resume_unfinished(Unfinished::all));
  EXPECT_EQ(w.files(), 2u) << "what a row names, and what came later";
  EXPECT_EQ(w.get_blob(alice, BlobWorld::cid_of(kept)).text, k_png);
}

TEST_P(Blobs, TwoProcessesDoNotLoseWhatTheyShare) {
  if (GetParam() == store::Engine::sqlite) GTEST_SKIP() << "SQLite has one server";
  BlobWorld w(GetParam());
  auto db = w.database.open_again();
  auto config = test_config();
  config.blob_directory = w.folder.path() + "/blobs";
  Process other(*db, w.clock, w.rng, w.plc, config);
  const auto alice = w.sign_up("alice");
  EXPECT_EQ(w.create(alice, "one", w.blob(k_png, alice)).status, 200);
  run(other.pds.resume_unfinished(Unfinished::all));
  const auto got = other.get("/xrpc/com.atproto.sync.getBlob?did=" + alice.did.str() +
                             "&cid=" + Cid::of_raw(as_bytes(k_png)).str());
  EXPECT_EQ(got.text, k_png);
}

TEST(GetBlob, GivesPartsAndKnowsWhatTheClientHas) {  // RFC 9110 §13.1.2, §14
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const std::string text = "0123456789";
  const auto blob = w.blob(text, alice, "text/plain");
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  const std::string cid = BlobWorld::cid_of(blob), tag = "\"" + cid + "\"";
  const auto get = [&](web::Headers headers) { return w.get_blob(alice, cid, {}, std::move(headers)); };
  struct Row {
    const char *range, *body, *content_range;
    int status;
  };
  for (const auto& row :
       {Row{"bytes=0-0", "0", "bytes 0-0/10", 206}, Row{"bytes=2-4", "234", "bytes 2-4/10", 206},
        Row{"bytes=8-", "89", "bytes 8-9/10", 206}, Row{"bytes=8-99", "89", "bytes 8-9/10", 206},
        Row{"bytes=-3", "789", "bytes 7-9/10", 206}, Row{"bytes=-99", "0123456789", "bytes 0-9/10", 206},
        Row{"bytes=10-", nullptr, "bytes */10", 416}, Row{"bytes=-0", nullptr, "bytes */10", 416},
        Row{"bytes=4-2", "0123456789", "", 200}, Row{"bytes=0-1,3-4", "0123456789", "", 200},
        Row{"bytes=x-", "0123456789", "", 200}, Row{"lines=1-2", "0123456789", "", 200},
        Row{"bytes=99999999999999999999-", "0123456789", "", 200}}) {
    const auto got = get({{"Range", row.range}});
    EXPECT_EQ(got.status, row.status) << row.range;
    EXPECT_EQ(got.headers.get("content-range"), row.content_range) << row.range;
    if (row.body) EXPECT_EQ(got.text, row.body) << row.range;
  }
  EXPECT_EQ(get({{"Range", "bytes=2-4"}, {"If-Range", tag}}).status, 206);
  EXPECT_EQ(get({{"Range", "bytes=2-4"}, {"If-Range", "\"other\""}}).status, 200);
  EXPECT_EQ(get({{"If-None-Match", "\"other\", W/" + tag}}).status, 304);
  EXPECT_EQ(get({{"If-None-Match", "*"}}).status, 304);
  EXPECT_EQ(get({{"If-None-Match", "\"other\""}}).text, text);
}

TEST(BlobRules, WellKnownLexiconsAreHeldToBothSides) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto sized = [](std::size_t n) { return k_png + std::string(n - k_png.size(), '.'); };
  const auto fits = w.blob(sized(1'000'000), alice), larger = w.blob(sized(1'000'001), alice),
             text = w.blob("words", alice, "text/plain");
  const auto profile = [&](const json::Value& blob, std::optional<bool> validate = {}) {
    json::Object input{{"repo", alice.did.str()},
                       {"collection", "app.bsky.actor.profile"},
                       {"rkey", "self"},
                       {"record", json::Object{{"avatar", blob}}}};
    if (validate) input.set("validate", *validate);
    return w.post("com.atproto.repo.putRecord", std::move(input), alice.access);
  };
  EXPECT_EQ(profile(fits).status, 200);
  EXPECT_EQ(profile(larger).error(), "BlobTooLarge");
  EXPECT_EQ(profile(text).error(), "InvalidMimeType");
  EXPECT_EQ(profile(text, false).status, 200) << "validation may be skipped";
  const auto post = [&](json::Value embed, std::string rkey) {
    return w.write("createRecord", alice, std::move(rkey), json::Object{{"embed", std::move(embed)}},
                   "app.bsky.feed.post");
  };
  const auto images = [](const json::Value& blob) {
    return json::Object{{"$type", "app.bsky.embed.images"},
                        {"images", json::Array{json::Object{{"alt", ""}, {"image", blob}}}}};
  };
  EXPECT_EQ(post(images(larger), "a").status, 200) << "two megabytes there";
  EXPECT_EQ(post(images(w.blob(sized(2'000'001), alice)), "b").error(), "BlobTooLarge");
  EXPECT_EQ(
      post(json::Object{{"$type", "app.bsky.embed.recordWithMedia"}, {"media", images(text)}}, "c").error(),
      "InvalidMimeType");
  EXPECT_EQ(post(json::Object{{"$type", "com.example.embed"}, {"images", text}}, "d").status, 200)
      << "no lexicon that is known here";
}

TEST(BlobRules, TypesOfPicturesAndVideosAreCorrected) {
  const auto sniff = [](std::string_view bytes, std::string_view declared) {
    return std::string(sniffed_type(as_bytes(bytes), declared).value_or("-"));
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(sniff(k_png, "text/html"), "image/png");
  EXPECT_EQ(sniff("\xff\xd8\xff\xe0 JFIF", "video/mp4"), "image/jpeg");
  EXPECT_EQ(sniff("GIF89a", "image/png"), "image/gif");
  EXPECT_EQ(sniff("RIFF\0\0\0\0WEBPVP8 "sv, "image/png"), "image/webp");
  EXPECT_EQ(sniff("XXXX\0\0\0\0WEBPVP8 "sv, "image/png"), "-");
  EXPECT_EQ(sniff("\0\0\0\x18"
                  "ftypisom"sv,
                  "application/octet-stream"),
            "video/mp4");
  EXPECT_EQ(sniff("\0\0\0\x18"
                  "ftypavif"sv,
                  "application/octet-stream"),
            "image/avif");
  EXPECT_EQ(sniff("\0\0\0\x18"
                  "ftypmp42"sv,
                  "audio/mp4"),
            "-")
      << "the same container without pictures";
  EXPECT_EQ(sniff(k_png, "image/apng"), "-");
  EXPECT_EQ(sniff("<svg xmlns=", "image/svg+xml"), "-");
  EXPECT_EQ(sniff("\x89PN", "image/png"), "-") << "shorter than the signature";
  EXPECT_EQ(sniff("", "image/png"), "-");
}

TEST(BlobRules, MediaTypesFollowTheirGrammar) {  // RFC 6838 §4.2
  for (const auto* good : {"image/png", "application/vnd.ipld.car", "image/svg+xml", "test/fake"})
    EXPECT_TRUE(is_media_type(good)) << good;
  for (const auto& bad : {std::string("image"), std::string("image/"), std::string("/png"),
                          std::string("*/*"), std::string("image/*"), std::string("image/p ng"),
                          std::string("a/b/c"), std::string("image/png\""), "a/" + std::string(128, 'b')})
    EXPECT_FALSE(is_media_type(bad)) << bad;
  EXPECT_TRUE(is_media_type("a/" + std::string(127, 'b')));
}

TEST(Archive, HoldsTheRepositoryAndEveryBlob) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  std::map<std::string, std::string> expected;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{511}, std::size_t{512}, std::size_t{513}, std::size_t{200'000}}) {
    const std::string content(size, 'x');
    const auto blob = w.blob(content, alice, "text/plain");
    EXPECT_EQ(w.create(alice, "r" + std::to_string(size), blob).status, 200);
    expected["blobs/" + BlobWorld::cid_of(blob)] = content;
  }
  for (int i = 0; i < 120; ++i) {  // more than are read from the database at a time
    const auto blob = w.blob("blob " + std::to_string(i), alice, "text/plain");
    EXPECT_EQ(w.create(alice, "n" + std::to_string(i), blob).status, 200);
    expected["blobs/" + BlobWorld::cid_of(blob)] = "blob " + std::to_string(i);
  }
  w.blob("nobody refers to this", alice, "text/plain");
  expected["repo.car"] = w.get("/xrpc/com.atproto.sync.getRepo?did=" + alice.did.str()).text;

  auto response = run(download_archive(&w.pds(), w.account(alice)));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->headers.get("content-type"), "application/x-tar");
  std::string tar;
  std::size_t largest = 0;
  while (auto piece = run(response->stream())) {
    largest = std::max(largest, piece->size());
    tar += as_text(*piece);
  }
  EXPECT_LE(largest, 66u * 1024);
  std::map<std::string, std::string> found;
  std::size_t at = 0;
  while (tar.at(at) != 0) {
    const std::string name = tar.c_str() + at;
    const auto size = std::stoull(tar.substr(at + 124, 11), nullptr, 8);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < 512; ++i)
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(tar.at(at + i));
    EXPECT_EQ(std::stoull(tar.substr(at + 148, 6), nullptr, 8), sum);
    EXPECT_EQ(tar.substr(at + 257, 8), std::string("ustar\0"
                                                   "00",
                                                   8));
    found[name] = tar.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
  }
  EXPECT_EQ(tar.substr(at), std::string(1024, '\0'));
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace latchkey::pds
