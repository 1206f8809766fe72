#include <thread>

#include "store/testing.h"

namespace latchkey::store {
namespace {

constexpr Migration k_one[] = {{"pds", 1, "CREATE TABLE a (x BIGINT); INSERT INTO a (x) VALUES (1);"}};
constexpr Migration k_two[] = {
    {"pds", 1, "CREATE TABLE a (x BIGINT); INSERT INTO a (x) VALUES (1);"},
    {"pds", 2, "ALTER TABLE a ADD COLUMN y TEXT; INSERT INTO a (x, y) VALUES (2, 'b')"},
    {"auth", 1, "CREATE TABLE b (x BIGINT);"}};
constexpr Sql k_rows{"SELECT x FROM a ORDER BY x"};
constexpr Sql k_applied{
    "SELECT component, version, applied_at FROM latchkey_migration ORDER BY component, version"};

class Migrations : public EngineTest {
 protected:
  static std::size_t rows(Database& db) {
    return run(db.read([](Tx& tx) { return tx.query(k_rows); })).size();
  }
};
INSTANTIATE_TEST_SUITE_P(Store, Migrations, engines(), engine_name);

TEST_P(Migrations, RunOnceEach) {
  TestDatabase db(GetParam());
  migrate(*db, k_one);
  migrate(*db, k_one);
  EXPECT_EQ(rows(*db), 1u);
  const Time now(std::chrono::seconds(5));
  migrate(*db, k_two, now);
  migrate(*db, k_two, now);
  EXPECT_EQ(rows(*db), 2u);
  const auto applied = run(db->read([](Tx& tx) { return tx.query(k_applied); }));
  ASSERT_EQ(applied.size(), 3u);
  EXPECT_EQ(applied[0].text(0), "auth");
  EXPECT_EQ(applied[0].time(2), now);
  EXPECT_LT(now, applied[1].time(2));
}

TEST_P(Migrations, RefuseADatabaseOfANewerProgram) {
  TestDatabase db(GetParam(), k_two);
  try {
    migrate(*db, k_one);
    FAIL() << "started on a newer schema";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::unavailable);
    EXPECT_STREQ(e.what(),
                 "the database was written by a newer program: pds is at version 2, this program knows 1");
  }
}

TEST_P(Migrations, LeaveNothingBehindWhenTheyFail) {
  static constexpr Migration k_broken[] = {
      {"pds", 1, "CREATE TABLE a (x BIGINT)"},
      {"pds", 2, "INSERT INTO a (x) VALUES (1); INSERT INTO nowhere (x) VALUES (1);"}};
  static constexpr Migration k_fixed[] = {{"pds", 1, "CREATE TABLE a (x BIGINT)"},
                                          {"pds", 2, "INSERT INTO a (x) VALUES (1);"}};
  TestDatabase db(GetParam());
  try {
    migrate(*db, k_broken);
    FAIL() << "did not notice";
  } catch (const Error& e) {
    EXPECT_TRUE(std::string_view(e.what()).starts_with("migration pds 2: ")) << e.what();
  }
  EXPECT_EQ(rows(*db), 0u);
  migrate(*db, k_fixed);
  EXPECT_EQ(rows(*db), 1u);
}

TEST_P(Migrations, OutOfOrderAreABug) {
  static constexpr Migration k_gap[] = {{"pds", 1, ""}, {"pds", 3, ""}};
  static constexpr Migration k_zero[] = {{"pds", 0, ""}};
  static constexpr Migration k_twice[] = {{"pds", 1, ""}, {"pds", 1, ""}};
  TestDatabase db(GetParam());
  for (std::span<const Migration> bad : {std::span<const Migration>(k_gap), {k_zero}, {k_twice}})
    EXPECT_THROW(migrate(*db, bad), Error);
}

TEST_P(Migrations, SeveralProcessesMayStartAtOnce) {
  TestDatabase db(GetParam());
  std::vector<std::thread> starters;
  for (int i = 0; i < 6; ++i) starters.emplace_back([&] { migrate(*db, k_two); });
  for (auto& t : starters) t.join();
  EXPECT_EQ(rows(*db), 2u);
}

TEST_P(Migrations, MayBeMultiStatementTextWithComments) {
  static constexpr Migration k_commented[] = {
      {"pds", 1,
       "-- accounts; not people\nCREATE TABLE a (x BIGINT); /* ; */\nINSERT "
       "INTO a (x) VALUES (1);\n\n-- end"}};
  TestDatabase db(GetParam(), k_commented);
  EXPECT_EQ(rows(*db), 1u);
}

}  // namespace
}  // namespace latchkey::store
