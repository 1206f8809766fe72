// Records and commits through the XRPC methods.
#include <gmock/gmock.h>

#include <set>

#include "atproto/car/reader.h"
#include "atproto/cbor/cbor.h"
#include "atproto/mst/tree.h"
#include "atproto/repo/export.h"
#include "pds/events.h"
#include "pds/records.h"
#include "pds/repo_export.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;
using ::testing::HasSubstr;

constexpr const char* k_note = "com.example.note";
constexpr const char* k_create = "com.atproto.repo.createRecord";
constexpr const char* k_put = "com.atproto.repo.putRecord";
constexpr const char* k_delete = "com.atproto.repo.deleteRecord";
constexpr const char* k_apply = "com.atproto.repo.applyWrites";

json::Object note(std::string_view text) { return {{"text", text}}; }

json::Object record_input(const SignedIn& who, std::string_view rkey, json::Value record) {
  json::Object input{{"repo", who.did.str()}, {"collection", k_note}, {"record", std::move(record)}};
  if (!rkey.empty()) input.set("rkey", rkey);
  return input;
}

std::string record_query(const SignedIn& who, std::string_view rkey) {
  return "?repo=" + who.did.str() + "&did=" + who.did.str() + "&collection=" + k_note +
         "&rkey=" + std::string(rkey);
}

struct RepoWorld : World {
  explicit RepoWorld(store::Engine engine, Config config = test_config())
      : World(engine, std::move(config)), alice(sign_up("alice")) {}

  Answered create(std::string_view rkey, std::string_view text) {
    return post(k_create, record_input(alice, rkey, note(text)), alice.access);
  }
  Answered fetch(std::string_view rkey) {
    return get("/xrpc/com.atproto.repo.getRecord" + record_query(alice, rkey));
  }
  std::string head() {
    return get("/xrpc/com.atproto.sync.getLatestCommit?did=" + alice.did.str()).text_at("cid");
  }
  crypto::PublicKey signing_key() {
    const auto data = plc.operations.at(alice.did.str()).data().value();
    return crypto::PublicKey::from_did_key(data.verification_methods.at("atproto")).value();
  }
  repo::Verified export_and_verify(Process& from) {
    const auto car = from.get("/xrpc/com.atproto.sync.getRepo?did=" + alice.did.str());
    EXPECT_EQ(car.status, 200) << car.text;
    EXPECT_EQ(car.headers.get("content-type"), "application/vnd.ipld.car");
    auto verified = repo::verify_car(as_bytes(car.text), alice.did, signing_key());
    if (!verified) throw std::runtime_error(verified.error().message);
    return *std::move(verified);
  }
  repo::Verified export_and_verify() { return export_and_verify(process); }
  std::vector<Event> events() {
    write([](Tx& tx) {
      while (events::number_pending(tx, 1000) > 0) {
      }
    });
    return read([](Tx& tx) { return events::after(tx, 0, 10'000); });
  }

  SignedIn alice;
};

/// `blocks` must outlive the result.
mst::BlockLookup lookup(const std::map<Cid, Bytes>& blocks) {
  return [&blocks](const Cid& cid) -> std::optional<BytesView> {
    auto found = blocks.find(cid);
    if (found == blocks.end()) return std::nullopt;
    return found->second;
  };
}

class Repo : public store::EngineTest {};

TEST_P(Repo, CreatedRecordsAreReadBack) {
  RepoWorld w(GetParam());
  const auto created = w.create("", "hello");
  ASSERT_EQ(created.status, 200) << created.text;
  const auto uri = created.text_at("uri");
  const auto rkey = uri.substr(uri.rfind('/') + 1);
  EXPECT_TRUE(Tid::parse(rkey)) << "record keys are TIDs unless the client names one";
  EXPECT_EQ(uri, "at://" + w.alice.did.str() + "/com.example.note/" + rkey);
  EXPECT_EQ(created.text_at("validationStatus"), "unknown");
  EXPECT_EQ(*created.body.find("commit")->string_at("cid"), w.head());

  const auto got = w.fetch(rkey);
  ASSERT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.text_at("uri"), uri);
  EXPECT_EQ(got.text_at("cid"), created.text_at("cid"));
  EXPECT_EQ(*got.body.find("value")->string_at("text"), "hello");
  EXPECT_EQ(*got.body.find("value")->string_at("$type"), k_note) << "set when the client left it out";

  // By handle, and by the CID it has.
  const std::string query =
      "/xrpc/com.atproto.repo.getRecord?repo=alice.test&collection=com.example.note&rkey=" + rkey;
  EXPECT_EQ(w.get(query).status, 200);
  EXPECT_EQ(w.get(query + "&cid=" + created.text_at("cid")).status, 200);
  const auto other = w.get(query + "&cid=" + Cid::of_dag_cbor(as_bytes("x")).str());
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.error(), "RecordNotFound");
  EXPECT_EQ(other.message(), "Could not locate record: " + uri);
}

TEST_P(Repo, ExportIsASignedTreeOfTheRecords) {
  RepoWorld w(GetParam());
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(w.create("key" + std::to_string(i), "n" + std::to_string(i)).status, 200);
  auto other = record_input(w.alice, "a", json::Object{});
  other.set("collection", "com.example.notes");
  EXPECT_EQ(w.post(k_create, other, w.alice.access).status, 200);
  const auto repo = w.export_and_verify();
  EXPECT_EQ(repo.tree.size(), 31u);
  EXPECT_EQ(repo.head.str(), w.head());
  EXPECT_TRUE(repo.tree.contains("com.example.note/key7"));
}

TEST_P(Repo, ExportIsTheSameFromCacheAndFromRows) {
  RepoWorld w(GetParam());
  // More than one batch of rows in each collection, and collections whose rows sort differently from their
  // paths.
  for (int i = 0; i < 5; ++i) {
    json::Array writes;
    for (int j = 0; j < 100; ++j)
      writes.push_back(json::Object{{"$type", "com.atproto.repo.applyWrites#create"},
                                    {"collection", j % 2 ? "com.example.note-x.y" : "com.example.note"},
                                    {"rkey", "k" + std::to_string(i) + "-" + std::to_string(j)},
                                    {"value", note("x")}});
    const auto got =
        w.post(k_apply, json::Object{{"repo", w.alice.did.str()}, {"writes", writes}}, w.alice.access);
    ASSERT_EQ(got.status, 200) << got.text;
  }
  const auto cached = w.export_and_verify();
  EXPECT_EQ(cached.tree.size(), 500u);
  Process fresh(w.db(), w.clock, w.rng, w.plc);
  const auto rebuilt = w.export_and_verify(fresh);
  EXPECT_EQ(rebuilt.head, cached.head);
  EXPECT_EQ(rebuilt.blocks, cached.blocks);
}

TEST_P(Repo, LongExportGoesThroughAFile) {
  auto config = test_config();
  config.export_memory_bytes = 1000;
  RepoWorld w(GetParam(), config);
  for (int i = 0; i < 10; ++i) w.create("k" + std::to_string(i), std::string(5000, 'x'));
  EXPECT_EQ(w.export_and_verify().tree.size(), 10u);
}

TEST(Spool, KeepsToItsMemoryLimit) {
  for (const std::size_t size : {0u, 1u, 99u, 100u, 101u, 300'000u}) {
    Spool spool(100);
    Bytes all;
    for (std::size_t i = 0; i < size; ++i) all.push_back(static_cast<std::uint8_t>(i * 7));
    for (std::size_t at = 0; at < size; at += 64)
      spool.write(BytesView(all).subspan(at, std::min<std::size_t>(64, size - at)));
    EXPECT_EQ(spool.in_file(), size > 100) << size;
    Bytes read;
    while (auto piece = spool.read(1000)) append(read, *piece);
    EXPECT_EQ(read, all);
    EXPECT_EQ(spool.size(), size);
  }
}

TEST_P(Repo, ProofShowsARecordOrItsAbsence) {
  RepoWorld w(GetParam());
  for (int i = 0; i < 20; ++i) w.create("key" + std::to_string(i), "x");
  const auto prove = [&](std::string_view rkey) {
    const auto car = w.get("/xrpc/com.atproto.sync.getRecord" + record_query(w.alice, rkey));
    EXPECT_EQ(car.status, 200) << car.text;
    auto contents = car::read_all(as_bytes(car.text)).value();
    std::map<Cid, Bytes> blocks(contents.blocks.begin(), contents.blocks.end());
    const auto commit = repo::Commit::decode(blocks.at(contents.roots.at(0))).value();
    EXPECT_TRUE(commit.verify(w.signing_key()));
    const auto tree = mst::PartialTree::load(commit.data(), lookup(blocks));
    if (!tree) throw std::runtime_error(tree.error().detail);
    const auto got = tree->get("com.example.note/" + std::string(rkey));
    if (!got) throw std::runtime_error(got.error().detail);
    const auto& cid = *got;
    if (cid) EXPECT_TRUE(blocks.contains(*cid)) << "the record comes with its proof";
    return cid.has_value();
  };
  EXPECT_TRUE(prove("key7"));
  EXPECT_FALSE(prove("key99"));
}

TEST_P(Repo, CommitsAreAnnouncedInTheirTransaction) {
  RepoWorld w(GetParam());
  const auto before = w.events().size();
  w.create("a", "one");
  w.create("b", "two");
  w.post(k_delete, json::Object{{"repo", w.alice.did.str()}, {"collection", k_note}, {"rkey", "a"}},
         w.alice.access);
  const auto events = w.events();
  ASSERT_EQ(events.size(), before + 3);
  std::optional<std::string> since;
  std::optional<Cid> data;
  for (std::size_t i = before; i < events.size(); ++i) {
    EXPECT_EQ(events[i].kind, EventKind::commit);
    const auto message = cbor::decode(events[i].payload).value();
    const auto contents = car::read_all(*message.bytes_at("blocks")).value();
    EXPECT_EQ(contents.roots.at(0), *message.cid_at("commit"));
    std::map<Cid, Bytes> blocks(contents.blocks.begin(), contents.blocks.end());
    const auto commit = repo::Commit::decode(blocks.at(contents.roots[0])).value();
    EXPECT_TRUE(commit.verify(w.signing_key()));
    EXPECT_EQ(commit.rev().str(), *message.string_at("rev"));
    if (since) EXPECT_EQ(*message.string_at("since"), *since);
    if (data) EXPECT_EQ(*message.cid_at("prevData"), *data);
    EXPECT_EQ(*message.find("rebase")->boolean(), false);
    EXPECT_EQ(*message.find("tooBig")->boolean(), false);
    EXPECT_TRUE(message.find("blobs")->array()->empty());
    EXPECT_EQ(*message.string_at("time"), rfc3339(events[i].created_at));
    EXPECT_FALSE(message.find("seq")) << "known when it is numbered";

    // What a relay does: undo the operations and compare with prevData.
    std::vector<mst::Change> changes;
    for (const auto& op : *message.find("ops")->array()) {
      const auto* cid = op.cid_at("cid");
      const auto* prev = op.cid_at("prev");
      changes.push_back({.key = *op.string_at("path"),
                         .cid = cid ? std::optional(*cid) : std::nullopt,
                         .prev = prev ? std::optional(*prev) : std::nullopt});
    }
    const auto tree = mst::PartialTree::load(commit.data(), lookup(blocks));
    if (!tree) throw std::runtime_error(tree.error().detail);
    const auto undone = tree->invert(changes);
    ASSERT_TRUE(undone) << undone.error().detail;
    EXPECT_EQ(undone->root(), *message.cid_at("prevData"));
    since = *message.string_at("rev");
    data = commit.data();
  }
}

TEST_P(Repo, PutCreatesUpdatesAndLeavesTheSameAlone) {
  RepoWorld w(GetParam());
  const auto put = [&](std::string_view text) {
    return w.post(k_put, record_input(w.alice, "self", note(text)), w.alice.access);
  };
  const auto first = put("one");
  ASSERT_EQ(first.status, 200) << first.text;
  EXPECT_TRUE(first.body.find("commit"));
  const auto head = w.head();
  const auto same = put("one");
  EXPECT_EQ(same.status, 200);
  EXPECT_FALSE(same.body.find("commit")) << "unchanged: no new commit";
  EXPECT_EQ(same.text_at("cid"), first.text_at("cid"));
  EXPECT_EQ(w.head(), head);
  const auto second = put("two");
  EXPECT_TRUE(second.body.find("commit"));
  EXPECT_EQ(*w.fetch("self").body.find("value")->string_at("text"), "two");
  EXPECT_EQ(w.export_and_verify().tree.size(), 1u);
}

TEST_P(Repo, DeleteIsSilentAboutWhatIsNotThere) {
  RepoWorld w(GetParam());
  w.create("a", "one");
  const json::Object input{{"repo", w.alice.did.str()}, {"collection", k_note}, {"rkey", "a"}};
  const auto first = w.post(k_delete, input, w.alice.access);
  EXPECT_EQ(first.status, 200) << first.text;
  EXPECT_TRUE(first.body.find("commit"));
  EXPECT_EQ(w.fetch("a").error(), "RecordNotFound");
  const auto second = w.post(k_delete, input, w.alice.access);
  EXPECT_EQ(second.status, 200);
  EXPECT_FALSE(second.body.find("commit"));
  EXPECT_TRUE(w.export_and_verify().tree.empty());
}

TEST_P(Repo, SwapCommitMustBeTheHead) {
  RepoWorld w(GetParam());
  const auto old_head = w.head();
  w.create("a", "one");
  auto stale = record_input(w.alice, "b", note("two"));
  stale.set("swapCommit", old_head);
  const auto refused = w.post(k_create, stale, w.alice.access);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.error(), "InvalidSwap");
  EXPECT_EQ(refused.message(), "Commit was at " + w.head());
  EXPECT_EQ(w.fetch("b").status, 400);
  stale.set("swapCommit", w.head());
  EXPECT_EQ(w.post(k_create, stale, w.alice.access).status, 200);
}

TEST_P(Repo, SwapRecordMustBeWhatIsThere) {
  RepoWorld w(GetParam());
  const auto wrong = Cid::of_dag_cbor(as_bytes("x")).str();
  auto put = record_input(w.alice, "self", note("one"));
  put.set("swapRecord", wrong);
  const auto absent = w.post(k_put, put, w.alice.access);
  EXPECT_EQ(absent.error(), "InvalidSwap");
  EXPECT_EQ(absent.message(), "Record was at null");
  put.set("swapRecord", nullptr);
  const auto created = w.post(k_put, put, w.alice.access);
  ASSERT_EQ(created.status, 200) << created.text;
  put.set("record", note("two"));
  EXPECT_EQ(w.post(k_put, put, w.alice.access).error(), "InvalidSwap") << "null: it must not exist";
  put.set("swapRecord", created.text_at("cid"));
  const auto updated = w.post(k_put, put, w.alice.access);
  EXPECT_EQ(updated.status, 200);

  json::Object remove{
      {"repo", w.alice.did.str()}, {"collection", k_note}, {"rkey", "self"}, {"swapRecord", wrong}};
  EXPECT_EQ(w.post(k_delete, remove, w.alice.access).error(), "InvalidSwap");
  remove.set("swapRecord", updated.text_at("cid"));
  EXPECT_EQ(w.post(k_delete, remove, w.alice.access).status, 200);
}

json::Object create_op(std::string_view rkey, std::string_view text) {
  return {{"$type", "com.atproto.repo.applyWrites#create"},
          {"collection", k_note},
          {"rkey", rkey},
          {"value", note(text)}};
}

TEST_P(Repo, ApplyWritesIsOneCommit) {
  RepoWorld w(GetParam());
  w.create("old", "x");
  w.create("gone", "x");
  const auto before = w.events().size();
  const json::Array writes{
      create_op("a", "one"),
      json::Object{{"$type", "com.atproto.repo.applyWrites#update"},
                   {"collection", k_note},
                   {"rkey", "old"},
                   {"value", note("new")}},
      json::Object{
          {"$type", "com.atproto.repo.applyWrites#delete"}, {"collection", k_note}, {"rkey", "gone"}}};
  const auto got = w.post(k_apply, json::Object{{"repo", "alice.test"}, {"writes", writes}}, w.alice.access);
  ASSERT_EQ(got.status, 200) << got.text;
  const auto& results = *got.body.find("results")->array();
  EXPECT_EQ(*results.at(0).string_at("$type"), "com.atproto.repo.applyWrites#createResult");
  EXPECT_EQ(*results.at(0).string_at("uri"), "at://" + w.alice.did.str() + "/com.example.note/a");
  EXPECT_EQ(*results.at(1).string_at("$type"), "com.atproto.repo.applyWrites#updateResult");
  EXPECT_EQ(*results.at(2).string_at("$type"), "com.atproto.repo.applyWrites#deleteResult");
  EXPECT_EQ(w.events().size(), before + 1);
  EXPECT_EQ(*w.fetch("old").body.find("value")->string_at("text"), "new");
  EXPECT_EQ(w.fetch("gone").status, 400);
  EXPECT_EQ(w.export_and_verify().tree.size(), 2u);
}

TEST_P(Repo, ApplyWritesIsAllOrNothing) {
  RepoWorld w(GetParam());
  w.create("there", "x");
  const auto head = w.head();
  for (const json::Array& writes :
       {json::Array{create_op("a", "one"), create_op("there", "two")},
        json::Array{create_op("a", "one"), create_op("a", "two")},
        json::Array{create_op("a", "one"), json::Object{{"$type", "com.atproto.repo.applyWrites#delete"},
                                                        {"collection", k_note},
                                                        {"rkey", "missing"}}}}) {
    const auto got =
        w.post(k_apply, json::Object{{"repo", "alice.test"}, {"writes", writes}}, w.alice.access);
    EXPECT_EQ(got.status, 400);
    EXPECT_EQ(got.error(), "InvalidRequest");
    EXPECT_EQ(w.head(), head);
    EXPECT_EQ(w.fetch("a").status, 400);
  }
}

TEST_P(Repo, CreateAndDeleteInOneGoLeaveNothing) {
  RepoWorld w(GetParam());
  const json::Array writes{
      create_op("a", "one"),
      json::Object{{"$type", "com.atproto.repo.applyWrites#delete"}, {"collection", k_note}, {"rkey", "a"}}};
  EXPECT_EQ(w.post(k_apply, json::Object{{"repo", "alice.test"}, {"writes", writes}}, w.alice.access).status,
            200);
  EXPECT_TRUE(w.export_and_verify().tree.empty());
}

TEST_P(Repo, ApplyWritesTakes200) {
  RepoWorld w(GetParam());
  json::Array writes;
  for (int i = 0; i < 200; ++i) writes.push_back(create_op("k" + std::to_string(i), "x"));
  EXPECT_EQ(w.post(k_apply, json::Object{{"repo", "alice.test"}, {"writes", writes}}, w.alice.access).status,
            200);
  writes.push_back(create_op("one-more", "x"));
  const auto refused =
      w.post(k_apply, json::Object{{"repo", "alice.test"}, {"writes", writes}}, w.alice.access);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.message(), "Too many writes. Max: 200");
}

TEST_P(Repo, RecordsAreListedInPages) {
  RepoWorld w(GetParam());
  for (const char* rkey : {"a", "b", "c", "d", "e"}) w.create(rkey, rkey);
  const auto list = [&](std::string more) {
    const auto got =
        w.get("/xrpc/com.atproto.repo.listRecords?repo=alice.test&collection=com.example.note" + more);
    EXPECT_EQ(got.status, 200) << got.text;
    std::string keys;
    for (const auto& record : *got.body.find("records")->array()) {
      keys += *record.find("value")->string_at("text");
      EXPECT_TRUE(record.string_at("uri")->ends_with("/" + keys.substr(keys.size() - 1)));
    }
    return keys + "|" + got.text_at("cursor");
  };
  EXPECT_EQ(list(""), "edcba|a");
  EXPECT_EQ(list("&limit=2"), "ed|d");
  EXPECT_EQ(list("&limit=2&cursor=d"), "cb|b");
  EXPECT_EQ(list("&cursor=a"), "|");
  EXPECT_EQ(list("&reverse=true&limit=2"), "ab|b");
  EXPECT_EQ(list("&reverse=true&cursor=d"), "e|e");
  const auto bad = [&](std::string more) {
    return w.get("/xrpc/com.atproto.repo.listRecords?repo=alice.test&collection=com.example.note" + more)
        .status;
  };
  EXPECT_EQ(bad("&limit=0"), 400);
  EXPECT_EQ(bad("&limit=1"), 200);
  EXPECT_EQ(bad("&limit=100"), 200);
  EXPECT_EQ(bad("&limit=101"), 400);
  EXPECT_EQ(bad("&limit=x"), 400);
  EXPECT_EQ(bad("&reverse=1"), 400);
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.listRecords?repo=bob.test&collection=com.example.note").message(),
            "Could not find repo: bob.test");
}

TEST_P(Repo, DescribeRepoNamesCollectionsAndChecksTheHandle) {
  RepoWorld w(GetParam());
  w.create("a", "x");
  auto other = record_input(w.alice, "a", json::Object{});
  other.set("collection", "com.example.other");
  w.post(k_create, other, w.alice.access);
  const auto got = w.get("/xrpc/com.atproto.repo.describeRepo?repo=alice.test");
  ASSERT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.text_at("did"), w.alice.did.str());
  EXPECT_EQ(got.text_at("handle"), "alice.test");
  EXPECT_EQ(*got.body.find("handleIsCorrect")->boolean(), true);
  EXPECT_EQ(*got.body.find("didDoc")->string_at("id"), w.alice.did.str());
  EXPECT_EQ(got.body.find("collections")->dump(), R"(["com.example.note","com.example.other"])");
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.describeRepo?repo=bob.test").error(), "RepoNotFound");
}

// --- attacks 24, 26: what is refused ---

struct BadRecord {
  const char* record;
  const char* message;
};

TEST_P(Repo, RefusesRecordsTheDataModelHasNoPlaceFor) {
  RepoWorld w(GetParam());
  const auto head = w.head();
  std::string deep = "1";
  for (int i = 0; i < 40; ++i) deep = "{\"x\":" + deep + "}";
  for (
      const auto& [record, message] : {
          BadRecord{R"({"$type":"com.example.other"})",
                    "Invalid $type: expected com.example.note, got com.example.other"},
          BadRecord{R"({"$type":5})", ""},
          BadRecord{R"({"n":1.5})", ""},
          BadRecord{R"({"n":9007199254740993})", ""},
          BadRecord{R"({"link":{"$link":"nonsense"}})", ""},
          BadRecord{R"({"bytes":{"$bytes":"?"}})", ""},
          BadRecord{
              R"({"blob":{"$type":"blob","ref":{"$link":"bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"},"mimeType":"image/png","size":1}})",
              "Could not find blob: bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"},
          BadRecord{
              R"({"blob":{"cid":"bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy","mimeType":"image/png"}})",
              "Legacy blobs are not allowed"},
          BadRecord{deep.c_str(), ""},
          BadRecord{"[]", "Input/record must be an object"},
          BadRecord{"\"text\"", "Input/record must be an object"},
      }) {
    const auto got =
        w.post(k_create, record_input(w.alice, "a", json::parse(record).value()), w.alice.access);
    EXPECT_EQ(got.status, 400) << record;
    EXPECT_THAT(got.message(), HasSubstr(message)) << record;
  }
  EXPECT_EQ(w.head(), head);
}

TEST_P(Repo, RecordsHaveASizeLimit) {
  RepoWorld w(GetParam());
  // {"text": …, "$type": …}: 1 + 5 + 5 (length of a long text) + n + 6 + 17
  const auto with_size = [&](std::size_t block) {
    return note(std::string(block - (1 + 5 + 5 + 6 + 17), 'x'));
  };
  const auto fits = w.post(k_create, record_input(w.alice, "fits", with_size(1'000'000)), w.alice.access);
  EXPECT_EQ(fits.status, 200) << fits.text;
  const auto large = w.post(k_create, record_input(w.alice, "large", with_size(1'000'001)), w.alice.access);
  EXPECT_EQ(large.status, 400);
  EXPECT_THAT(large.message(), HasSubstr("too large"));
}

TEST_P(Repo, ValidateTrueNeedsAKnownLexicon) {
  RepoWorld w(GetParam());
  auto input = record_input(w.alice, "", note("x"));
  input.set("validate", true);
  const auto refused = w.post(k_create, input, w.alice.access);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.message(), "Unknown lexicon type: com.example.note");
  input.set("validate", false);
  const auto skipped = w.post(k_create, input, w.alice.access);
  EXPECT_EQ(skipped.status, 200);
  EXPECT_FALSE(skipped.body.find("validationStatus"));
}

TEST_P(Repo, RefusesBadKeysAndNames) {
  RepoWorld w(GetParam());
  for (const char* rkey : {".", "..", "a/b", "a b", "a#b"})
    EXPECT_THAT(w.post(k_create, record_input(w.alice, rkey, note("x")), w.alice.access).message(),
                HasSubstr("rkey"))
        << rkey;
  EXPECT_EQ(w.create(std::string(512, 'k'), "x").status, 200);
  EXPECT_EQ(w.create(std::string(513, 'k'), "x").status, 400);
  auto input = record_input(w.alice, "a", note("x"));
  input.set("collection", "not-an-nsid");
  EXPECT_EQ(w.post(k_create, input, w.alice.access).error(), "InvalidRequest");
  input.set("collection", k_note);
  input.set("swapCommit", "not-a-cid");
  EXPECT_EQ(w.post(k_create, input, w.alice.access).error(), "InvalidRequest");
}

TEST_P(Repo, CreateDoesNotOverwrite) {
  RepoWorld w(GetParam());
  w.create("a", "one");
  EXPECT_EQ(w.create("a", "two").status, 400);
  EXPECT_EQ(*w.fetch("a").body.find("value")->string_at("text"), "one");
}

TEST_P(Repo, OnlyTheOwnerWrites) {
  RepoWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  for (const char* method : {k_create, k_put, k_delete, k_apply}) {
    auto input = record_input(w.alice, "a", note("x"));
    input.set("writes", json::Array{});
    const auto got = w.post(method, input, bob.access);
    EXPECT_EQ(got.status, 401) << method;
    EXPECT_EQ(got.error(), "AuthenticationRequired") << method;
    EXPECT_EQ(got.message(), "Authentication Required") << method;
    EXPECT_EQ(w.post(method, input).error(), "AuthMissing") << method;
  }
}

// --- attack 32: deactivated and taken-down accounts ---

TEST_P(Repo, DeactivatedAccountsNeitherShowNorWrite) {
  RepoWorld w(GetParam());
  w.create("a", "x");
  const auto id = w.account(w.alice).id;
  w.write([&](Tx& tx) { accounts::set_deactivated(tx, id, w.clock.now()); });
  EXPECT_EQ(w.create("b", "x").error(), "AccountDeactivated");
  const std::string did = "?did=" + w.alice.did.str();
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo" + did).error(), "RepoDeactivated");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getLatestCommit" + did).error(), "RepoDeactivated");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRecord" + record_query(w.alice, "a")).error(),
            "RepoDeactivated");
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.describeRepo?repo=alice.test").error(), "RepoDeactivated");
  EXPECT_EQ(w.fetch("a").error(), "RecordNotFound");
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.listRecords?repo=alice.test&collection=com.example.note").status,
            400);
  const auto status = w.get("/xrpc/com.atproto.sync.getRepoStatus" + did);
  EXPECT_EQ(*status.body.find("active")->boolean(), false);
  EXPECT_EQ(status.text_at("status"), "deactivated");
  EXPECT_FALSE(status.body.find("rev"));
  // The account itself still reads, signs in and can leave with its data.
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo" + did, w.alice.access).status, 200);
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", w.alice.access).text_at("status"), "deactivated");
  w.write([&](Tx& tx) { accounts::set_deactivated(tx, id, std::nullopt); });
  EXPECT_EQ(w.create("b", "x").status, 200);
}

TEST_P(Repo, TakenDownAccountsNeitherShowNorWrite) {
  RepoWorld w(GetParam());
  w.create("a", "x");
  const auto id = w.account(w.alice).id;
  w.write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  EXPECT_EQ(w.create("b", "x").error(), "AccountTakedown");
  const std::string did = "?did=" + w.alice.did.str();
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo" + did).error(), "RepoTakendown");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getLatestCommit" + did).error(), "RepoTakendown");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRecord" + record_query(w.alice, "a")).error(), "RepoTakendown");
  EXPECT_EQ(w.get("/xrpc/com.atproto.repo.describeRepo?repo=alice.test").error(), "RepoTakendown");
  EXPECT_EQ(w.fetch("a").error(), "RecordNotFound");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepoStatus" + did).text_at("status"), "takendown");
  EXPECT_EQ(w.get("/xrpc/com.atproto.identity.resolveHandle?handle=alice.test").error(), "HandleNotFound");
}

TEST_P(Repo, TakedownBetweenCheckAndCommitStopsTheCommit) {  // attack 31
  RepoWorld w(GetParam());
  const auto account = w.account(w.alice);  // still active in the writer's eyes
  w.create("a", "x");
  w.write([&](Tx& tx) { accounts::set_takedown(tx, account.id, "ref"); });
  const auto record = prepare_record(Nsid::parse(k_note).value(), note("x"), Validate::skip).value();
  const auto result = run(w.pds().repos().write(account,
                                                {{.kind = RecordWrite::Kind::create,
                                                  .collection = Nsid::parse(k_note).value(),
                                                  .rkey = RecordKey::parse("b").value(),
                                                  .record = record}},
                                                std::nullopt));
  EXPECT_EQ(result.error().code, xrpc::Error::AccountTakedown);
  EXPECT_FALSE(w.read([&](Tx& tx) {
    return records::get(tx, account.id, Nsid::parse(k_note).value(), RecordKey::parse("b").value());
  }));
}

// --- attack 31: concurrency ---

Task<void> write_into(RepoService* repos, Account account, RecordWrite write, std::optional<Cid> swap,
                      std::vector<std::string>* out) {
  auto result = co_await repos->write(std::move(account), {std::move(write)}, swap);
  out->push_back(result ? "ok" : std::string(xrpc::wire(result.error().code).name));
}

RecordWrite create_write(const std::string& rkey) {
  const auto collection = Nsid::parse(k_note).value();
  return {.kind = RecordWrite::Kind::create,
          .collection = collection,
          .rkey = RecordKey::parse(rkey).value(),
          .record = prepare_record(collection, note(rkey), Validate::skip).value()};
}

TEST_P(Repo, OfManyWritersWithTheSameSwapCommitOneWins) {
  RepoWorld w(GetParam());
  Process other(w.db(), w.clock, w.rng, w.plc);  // half of them in another process
  const auto account = w.account(w.alice);
  const auto head = Cid::parse(w.head()).value();
  InlineExecutor executor;
  std::vector<std::string> outcomes;
  for (int i = 0; i < 10; ++i)
    executor.post([&, i] {
      auto& repos = i % 2 ? w.pds().repos() : other.pds.repos();
      spawn(write_into(&repos, account, create_write("k" + std::to_string(i)), head, &outcomes));
    });
  executor.run_until([&] { return outcomes.size() == 10; });
  EXPECT_EQ(std::ranges::count(outcomes, "ok"), 1);
  EXPECT_EQ(std::ranges::count(outcomes, "InvalidSwap"), 9);
  EXPECT_EQ(w.export_and_verify().tree.size(), 1u);
}

TEST_P(Repo, WritersInTwoProcessesNeverForkIt) {
  RepoWorld w(GetParam());
  Process other(w.db(), w.clock, w.rng, w.plc);
  const auto account = w.account(w.alice);
  InlineExecutor executor;
  std::vector<std::string> outcomes;
  // So many that one of them loses again and again, and has to hold the head to get its turn.
  constexpr std::size_t k_writes = 120;
  for (std::size_t i = 0; i < k_writes; ++i)
    executor.post([&, i] {
      auto& repos = i % 2 ? w.pds().repos() : other.pds.repos();
      spawn(write_into(&repos, account, create_write("k" + std::to_string(i)), std::nullopt, &outcomes));
    });
  executor.run_until([&] { return outcomes.size() == k_writes; });
  EXPECT_EQ(std::ranges::count(outcomes, "ok"), k_writes);
  EXPECT_EQ(w.export_and_verify().tree.size(), k_writes);
  EXPECT_EQ(w.export_and_verify(other).head, w.export_and_verify().head);

  // The event log is one chain: each commit follows the one before it.
  std::optional<std::string> last;
  std::size_t commits = 0;
  for (const auto& event : w.events()) {
    if (event.kind != EventKind::commit) continue;
    const auto message = cbor::decode(event.payload).value();
    if (last) EXPECT_EQ(*message.string_at("since"), *last);
    last = *message.string_at("rev");
    ++commits;
  }
  EXPECT_EQ(commits, k_writes + 1);
}

TEST_P(Repo, ForgottenCacheMeansNothingIsLost) {
  auto config = test_config();
  config.tree_cache_bytes = 0;  // every write rebuilds the tree from its rows
  RepoWorld w(GetParam(), config);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(w.create("k" + std::to_string(i), "x").status, 200);
  EXPECT_EQ(w.pds().repos().cache().size(), 0u);
  EXPECT_EQ(w.export_and_verify().tree.size(), 10u);
}

TEST_P(Repo, RowsThatDoNotMatchTheSignatureAreNeverSignedOver) {
  RepoWorld w(GetParam());
  w.create("a", "x");
  const auto id = w.account(w.alice).id;
  w.write(
      [&](Tx& tx) { records::remove(tx, id, Nsid::parse(k_note).value(), RecordKey::parse("a").value()); });
  const auto head = w.head();
  Process fresh(w.db(), w.clock, w.rng, w.plc);
  EXPECT_EQ(fresh.post(k_create, record_input(w.alice, "b", note("x")), w.alice.access).status, 500);
  EXPECT_EQ(fresh.get("/xrpc/com.atproto.sync.getRepo?did=" + w.alice.did.str()).status, 500);
  EXPECT_EQ(w.head(), head);
}

TEST_P(Repo, RevisionsRiseWhenTheClockStandsStill) {
  RepoWorld w(GetParam());
  std::string last;
  for (int i = 0; i < 5; ++i) {
    const auto got = w.create("", "x");
    const auto rev = *got.body.find("commit")->string_at("rev");
    EXPECT_GT(rev, last);
    last = rev;
  }
}

TEST_P(Repo, AreListedWithTheirHeads) {
  RepoWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  w.create("a", "x");
  const auto all = w.get("/xrpc/com.atproto.sync.listRepos");
  const auto& repos = *all.body.find("repos")->array();
  ASSERT_EQ(repos.size(), 2u);
  EXPECT_EQ(*repos[0].string_at("did"), w.alice.did.str());
  EXPECT_EQ(*repos[0].string_at("head"), w.head());
  EXPECT_EQ(*repos[0].find("active")->boolean(), true);
  EXPECT_FALSE(all.body.find("cursor"));
  const auto first = w.get("/xrpc/com.atproto.sync.listRepos?limit=1");
  const auto second = w.get("/xrpc/com.atproto.sync.listRepos?limit=1&cursor=" + first.text_at("cursor"));
  EXPECT_EQ(*second.body.find("repos")->array()->at(0).string_at("did"), bob.did.str());
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.listRepos?cursor=x").message(), "Malformed cursor");
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.listRepos?limit=1001").status, 400);
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.listRepos?limit=1000").status, 200);
}

TEST_P(Repo, UnknownOnesAreNotFound) {
  RepoWorld w(GetParam());
  const std::string did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
  for (const char* method : {"getRepo", "getLatestCommit", "getRepoStatus"}) {
    const auto got = w.get(std::string("/xrpc/com.atproto.sync.") + method + "?did=" + did);
    EXPECT_EQ(got.status, 400) << method;
    EXPECT_EQ(got.error(), "RepoNotFound") << method;
    EXPECT_EQ(got.message(), "Could not find repo for DID: " + did) << method;
  }
}

INSTANTIATE_TEST_SUITE_P(Store, Repo, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::pds
