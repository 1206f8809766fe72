#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "atproto/plc/operation.h"

namespace latchkey::plc {
namespace {

using Code = Error::Code;

json::Value fixture(const std::string& name) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES) + "/plc/audit_log/" + name);
  EXPECT_TRUE(in) << name;
  std::stringstream text;
  text << in.rdbuf();
  return *json::parse(text.str());
}

Did did_in(const json::Value& log) { return *Did::parse(*log.array()->at(0).string_at("did")); }

// Real and made-up logs every implementation must accept.
TEST(AuditLog, OfTheInteropSuiteIsValid) {
  struct Row {
    const char* file;
    bool alive;
  };
  for (const Row row :
       {Row{"log_bnewbold_robocracy", true}, Row{"log_bskyapp", true},
        Row{"log_duplicate_rotation_keys", true}, Row{"log_empty_rotation_keys", true},
        Row{"log_legacy_dholms", true}, Row{"log_nullification", true},
        Row{"log_nullification_at_exactly_72h", true}, Row{"log_nullification_nontrivial", true},
        Row{"log_nullified_tombstone", true}, Row{"log_tombstone", false}}) {
    SCOPED_TRACE(row.file);
    const json::Value file = fixture("valid/" + std::string(row.file) + ".json");
    const Did did = did_in(file);
    const auto log = audit_log_from_json(did, file);
    ASSERT_TRUE(log) << log.error().detail;
    const auto end = validate_log(did, *log);
    ASSERT_TRUE(end) << end.error().detail;
    EXPECT_EQ(end->has_value(), row.alive);
    EXPECT_EQ(did_of(log->front().operation), did);

    json::Array again;
    for (const auto& entry : *log) again.push_back(audit_json(did, entry));
    EXPECT_EQ(json::Value(again), file) << "written as it was read";
  }
}

TEST(AuditLog, OfTheInteropSuiteIsRefused) {
  struct Row {
    const char* file;
    Code code;
  };
  for (const Row row : {Row{"log_invalid_nullification_reused_key", Code::invalid_signature},
                        Row{"log_invalid_nullification_too_slow", Code::late_recovery},
                        Row{"log_invalid_sig_b64_newline", Code::invalid_signature},
                        Row{"log_invalid_sig_b64_padding_bits", Code::invalid_signature},
                        Row{"log_invalid_sig_b64_padding_chars", Code::invalid_signature},
                        Row{"log_invalid_sig_der", Code::invalid_signature},
                        Row{"log_invalid_sig_k256_high_s", Code::invalid_signature},
                        Row{"log_invalid_sig_p256_high_s", Code::invalid_signature},
                        Row{"log_invalid_update_nullified", Code::misordered},
                        Row{"log_invalid_update_tombstoned", Code::misordered}}) {
    SCOPED_TRACE(row.file);
    const json::Value file = fixture("invalid/" + std::string(row.file) + ".json");
    const Did did = did_in(file);
    const auto log = audit_log_from_json(did, file);
    ASSERT_TRUE(log) << log.error().detail;
    const auto end = validate_log(did, *log);
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, row.code) << end.error().detail;
  }
}

TEST(AuditLog, IsRefusedWhenTheDirectoryLies) {
  const json::Value file = fixture("valid/log_nullification_nontrivial.json");
  const Did did = did_in(file);
  const auto log = *audit_log_from_json(did, file);
  ASSERT_TRUE(validate_log(did, log));
  for (std::size_t i = 0; i < log.size(); ++i) {
    auto flipped = log;
    flipped[i].nullified = !flipped[i].nullified;
    EXPECT_EQ(validate_log(did, flipped).error().code, Code::wrong_record) << "entry " << i;
    auto without = log;
    without.erase(without.begin() + static_cast<long>(i));
    // A nullified operation nobody built upon can be hidden; the history that counts cannot.
    if (!log[i].nullified && i + 1 < log.size()) EXPECT_FALSE(validate_log(did, without)) << "entry " << i;
  }
  EXPECT_EQ(validate_log(*Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"), log).error().code,
            Code::genesis_hash);
  EXPECT_EQ(validate_log(did, {}).error().code, Code::misordered);
  auto backwards = log;
  backwards[1].created_at = backwards[0].created_at - std::chrono::seconds(1);
  EXPECT_EQ(validate_log(did, backwards).error().code, Code::misordered);

  EXPECT_EQ(audit_log_from_json(*Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"), file).error().code,
            Code::wrong_record);
  json::Value other_cid = file;
  other_cid.array()->at(0).object()->set("cid", log[1].cid.str());
  EXPECT_EQ(audit_log_from_json(did, other_cid).error().code, Code::wrong_record);
}

// A DID with three rotation keys, from the most to the least powerful, and a clock.
class Directory {
 public:
  Directory() {
    SeededRng rng(5);
    for (int i = 0; i < 4; ++i)
      keys.push_back(crypto::PrivateKey::generate(i % 2 ? crypto::Curve::p256 : crypto::Curve::k256, rng));
    const Operation genesis = Operation::sign(PlcOperation{state("alice.test"), std::nullopt}, keys[2]);
    did = did_of(genesis);
    EXPECT_EQ(submit(genesis), std::nullopt);
  }
  Data state(std::string_view handle) const {
    return atproto_data(
        {keys[0].public_key().did_key(), keys[1].public_key().did_key(), keys[2].public_key().did_key()},
        keys[3].public_key(), handle, "https://pds.test");
  }
  Operation update(const Cid& prev, std::size_t signer, std::string_view handle) const {
    return Operation::sign(PlcOperation{state(handle), prev}, keys[signer]);
  }
  // What a directory does; the error code, or nullopt when it took the operation.
  std::optional<Code> submit(const Operation& op) {
    const auto accepted = check_next(*did, log, op, now);
    if (!accepted) return accepted.error().code;
    for (auto& entry : log)
      if (std::ranges::count(accepted->nullified, entry.cid) > 0) entry.nullified = true;
    log.push_back({.operation = op, .cid = op.cid(), .created_at = now});
    now += std::chrono::minutes(1);
    return std::nullopt;
  }
  std::vector<crypto::PrivateKey> keys;
  std::optional<Did> did;
  std::vector<LogEntry> log;
  Time now = from_unix_seconds(1'750'000'000);
};

TEST(Directory, TakesAChainOfUpdates) {
  Directory d;
  for (std::size_t signer : {0, 1, 2})
    EXPECT_EQ(d.submit(d.update(d.log.back().cid, signer, "a.test")), std::nullopt);
  EXPECT_EQ(d.log.size(), 4u);
  const auto end = validate_log(*d.did, d.log);
  ASSERT_TRUE(end);
  EXPECT_EQ((*end)->also_known_as, std::vector<std::string>{"at://a.test"});
}

TEST(Directory, RefusesAGenesisThatIsNotTheDids) {
  Directory d;
  const Operation genesis = d.log[0].operation;
  const Did other = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");
  EXPECT_EQ(check_next(other, {}, genesis, d.now).error().code, Code::genesis_hash);
  EXPECT_EQ(d.submit(genesis), Code::misordered) << "a second genesis";
  const Operation stolen = Operation::sign(PlcOperation{d.state("x.test"), std::nullopt}, d.keys[3]);
  EXPECT_EQ(check_next(did_of(stolen), {}, stolen, d.now).error().code, Code::invalid_signature);
  const Operation tombstone = Operation::sign(PlcTombstone{genesis.cid()}, d.keys[0]);
  EXPECT_EQ(check_next(other, {}, tombstone, d.now).error().code, Code::misordered);
  const Operation with_prev = Operation::sign(PlcOperation{d.state("x.test"), genesis.cid()}, d.keys[0]);
  EXPECT_EQ(check_next(did_of(with_prev), {}, with_prev, d.now).error().code, Code::improper_operation);
}

TEST(Directory, RefusesAnUnknownPrevAndAStrangersKey) {
  Directory d;
  EXPECT_EQ(d.submit(d.update(Cid::of_dag_cbor(as_bytes("nothing")), 0, "a.test")), Code::misordered);
  EXPECT_EQ(d.submit(d.update(d.log[0].cid, 3, "a.test")), Code::invalid_signature)
      << "the signing key rotates nothing";
}

TEST(Directory, RefusesKeysThatTheLastOperationRemoved) {
  Directory d;
  Data fewer = d.state("a.test");
  fewer.rotation_keys.pop_back();
  ASSERT_EQ(d.submit(Operation::sign(PlcOperation{fewer, d.log[0].cid}, d.keys[2])), std::nullopt)
      << "its last act";
  EXPECT_EQ(d.submit(d.update(d.log[1].cid, 2, "b.test")), Code::invalid_signature);
  EXPECT_EQ(d.submit(d.update(d.log[1].cid, 1, "b.test")), std::nullopt);
}

TEST(Recovery, BelongsToMorePowerfulKeysOnly) {
  for (std::size_t thief = 0; thief < 3; ++thief) {
    for (std::size_t owner = 0; owner < 3; ++owner) {
      Directory d;
      ASSERT_EQ(d.submit(d.update(d.log[0].cid, thief, "stolen.test")), std::nullopt);
      const auto answer = d.submit(d.update(d.log[0].cid, owner, "mine.test"));
      if (owner < thief) {
        EXPECT_EQ(answer, std::nullopt) << owner << " over " << thief;
        EXPECT_TRUE(d.log[1].nullified);
        EXPECT_FALSE(d.log[2].nullified);
        EXPECT_TRUE(validate_log(*d.did, d.log));
      } else {
        EXPECT_EQ(answer, Code::invalid_signature) << owner << " over " << thief;
      }
    }
  }
}

// Each later operation may come from whatever key it likes; what counts is who signed the first one to fall.
TEST(Recovery, TakesTheWholeChainAfterTheForkPoint) {
  Directory d;
  ASSERT_EQ(d.submit(d.update(d.log[0].cid, 2, "one.test")), std::nullopt);
  ASSERT_EQ(d.submit(d.update(d.log[1].cid, 0, "two.test")), std::nullopt);
  ASSERT_EQ(d.submit(d.update(d.log[2].cid, 2, "three.test")), std::nullopt);
  ASSERT_EQ(d.submit(d.update(d.log[0].cid, 1, "mine.test")), std::nullopt);
  for (std::size_t i : {1, 2, 3}) EXPECT_TRUE(d.log[i].nullified) << i;
  EXPECT_EQ(d.submit(d.update(d.log[3].cid, 0, "late.test")), Code::misordered) << "prev is nullified";
  EXPECT_EQ(d.submit(d.update(d.log[4].cid, 2, "on.test")), std::nullopt) << "life goes on";
  ASSERT_EQ(d.submit(d.update(d.log[0].cid, 0, "again.test")), std::nullopt)
      << "a recovery can be recovered from";
  EXPECT_TRUE(d.log[4].nullified);
  EXPECT_TRUE(d.log[5].nullified);
  EXPECT_TRUE(validate_log(*d.did, d.log));
}

TEST(Recovery, EndsAfter72Hours) {
  for (const auto [late, expected] :
       {std::pair(std::chrono::milliseconds(0), std::optional<Code>()),
        std::pair(std::chrono::milliseconds(1), std::optional(Code::late_recovery))}) {
    Directory d;
    ASSERT_EQ(d.submit(d.update(d.log[0].cid, 2, "stolen.test")), std::nullopt);
    d.now = d.log[1].created_at + k_recovery_window + late;
    EXPECT_EQ(d.submit(d.update(d.log[0].cid, 0, "mine.test")), expected) << late.count();
  }
}

// Logs carry milliseconds; what was accepted must still be valid when it is read back.
TEST(Recovery, IsMeasuredInMilliseconds) {
  Directory d;
  d.now += std::chrono::microseconds(1);
  ASSERT_EQ(d.submit(d.update(d.log[0].cid, 2, "stolen.test")), std::nullopt);
  d.now = d.log[1].created_at + k_recovery_window + std::chrono::microseconds(998);
  EXPECT_EQ(d.submit(d.update(d.log[0].cid, 0, "mine.test")), std::nullopt);
  json::Array text;
  for (const auto& entry : d.log) text.push_back(audit_json(*d.did, entry));
  EXPECT_TRUE(validate_log(*d.did, *audit_log_from_json(*d.did, text)));
}

TEST(Recovery, MustComeAfterWhatItNullifies) {
  Directory d;
  ASSERT_EQ(d.submit(d.update(d.log[0].cid, 2, "stolen.test")), std::nullopt);
  d.now = d.log[1].created_at;
  EXPECT_EQ(d.submit(d.update(d.log[0].cid, 0, "mine.test")), Code::misordered);
}

TEST(Tombstone, EndsADidUnlessRecovered) {
  Directory d;
  ASSERT_EQ(d.submit(Operation::sign(PlcTombstone{d.log[0].cid}, d.keys[2])), std::nullopt);
  EXPECT_EQ(*validate_log(*d.did, d.log), std::nullopt);
  EXPECT_EQ(d.submit(d.update(d.log[1].cid, 0, "a.test")), Code::misordered) << "nothing follows a tombstone";
  EXPECT_EQ(d.submit(d.update(d.log[0].cid, 2, "a.test")), Code::invalid_signature);
  EXPECT_EQ(d.submit(d.update(d.log[0].cid, 0, "a.test")), std::nullopt);
  EXPECT_TRUE((*validate_log(*d.did, d.log)).has_value());
}

// A key listed twice has the rank of its first place.
TEST(Recovery, CountsARepeatedKeyOnce) {
  Directory d;
  Data doubled = d.state("a.test");
  doubled.rotation_keys.push_back(doubled.rotation_keys[0]);
  ASSERT_EQ(d.submit(Operation::sign(PlcOperation{doubled, d.log[0].cid}, d.keys[0])), std::nullopt);
  ASSERT_EQ(d.submit(d.update(d.log[1].cid, 0, "b.test")), std::nullopt);
  EXPECT_EQ(d.submit(d.update(d.log[1].cid, 0, "c.test")), Code::invalid_signature);
}

}  // namespace
}  // namespace latchkey::plc
