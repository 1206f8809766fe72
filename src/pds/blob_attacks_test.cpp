// Contract: attacks.md 22. Each fails when the check it guards is taken out.
#include <gmock/gmock.h>

#include "oauth/jose/jwt.h"
#include "pds/blob_testing.h"
#include "pds/service_jwt.h"

namespace latchkey::pds {
namespace {

using namespace std::chrono_literals;

const std::string k_mp4 = std::string("\0\0\0\x18", 4) + "ftypisom and no film at all";

TEST(AttackBlob, AttackBlob_PagesComeAsFilesThatRunNothing) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  int n = 0;
  for (const std::string type :
       {"text/html", "image/svg+xml", "application/pdf", "application/xhtml+xml", "text/javascript"}) {
    const std::string rkey = "r" + std::to_string(n++);
    const auto blob = w.blob("<script>alert(1)</script>" + type, alice, type);
    EXPECT_EQ(w.create(alice, rkey, blob).status, 200);
    for (const auto* method : {"GET", "HEAD"}) {
      const auto got = w.get_blob(alice, BlobWorld::cid_of(blob), {}, {}, method);
      EXPECT_EQ(got.status, 200);
      EXPECT_EQ(got.headers.get("content-type"), type);
      EXPECT_EQ(got.headers.get("x-content-type-options"), "nosniff") << type;
      EXPECT_TRUE(got.headers.get("content-disposition").starts_with("attachment;")) << type;
      EXPECT_EQ(got.headers.get("content-security-policy"), "default-src 'none'; sandbox") << type;
    }
    const auto part = w.get_blob(alice, BlobWorld::cid_of(blob), {}, {{"Range", "bytes=0-3"}});
    EXPECT_EQ(part.headers.get("content-security-policy"), "default-src 'none'; sandbox") << type;
  }
}

TEST(AttackBlob, AttackBlob_AnotherNameForTheTypeDoesNotWidenAScope) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto pictures = w.app_of(alice, "atproto blob:image/*");
  EXPECT_EQ(w.upload(k_png, "image/png", pictures).status, 200);
  for (const auto& [content, type] :
       {std::pair{k_mp4, "video/mp4"}, std::pair{k_mp4, "image/png"}, std::pair{k_png, "text/plain"},
        std::pair{k_png, "*/*"}, std::pair{std::string("<svg"), "text/html; x=image/png"}}) {
    const auto got = w.upload(content, type, pictures);
    EXPECT_EQ(got.status, 403) << type;
    EXPECT_EQ(got.error(), "ScopeMissingError") << type;
  }
  EXPECT_EQ(w.upload(k_png, "image/png", w.app_of(alice, "atproto repo:*")).error(), "ScopeMissingError");
  EXPECT_EQ(w.files(), 1u) << "nothing of a refused upload stays";
}

TEST(AttackBlob, AttackBlob_RecordsCannotLieAboutSizeAndType) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto blob = w.blob(k_png, alice);
  const auto lie = [&](const char* member, json::Value value) {
    auto changed = *blob.object();
    changed.set(member, std::move(value));
    return w.create(alice, "lie", changed);
  };
  EXPECT_EQ(lie("size", 1).error(), "InvalidRequest");
  EXPECT_EQ(lie("size", static_cast<std::int64_t>(k_png.size()) + 1).error(), "InvalidRequest");
  EXPECT_EQ(lie("size", 0).status, 400);
  EXPECT_EQ(lie("size", -1).status, 400);
  EXPECT_EQ(lie("mimeType", "image/jpeg").error(), "InvalidMimeType");
  EXPECT_EQ(w.create(alice, "truth", blob).status, 200);
  EXPECT_EQ(lie("size", 1).error(), "InvalidRequest") << "also when another record refers to it already";
  EXPECT_EQ(lie("mimeType", "text/html").error(), "InvalidMimeType");
}

TEST(AttackBlob, AttackBlob_SizeLimitBothSides) {
  auto config = test_config();
  config.blob_upload_limit = 1000;
  BlobWorld w(store::Engine::sqlite, config);
  const auto alice = w.sign_up("alice");
  EXPECT_EQ(w.upload(std::string(1000, 'x'), "text/plain", alice.access).status, 200);
  const auto large = w.upload(std::string(1001, 'x'), "text/plain", alice.access);
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.error(), "PayloadTooLarge");
  const auto empty = w.upload("", "text/plain", alice.access);
  EXPECT_EQ(empty.status, 400);
  EXPECT_EQ(empty.error(), "InvalidRequest");
  EXPECT_EQ(w.files(), 1u);
  auto head = web::Request::make("POST", "https://pds.test/xrpc/" + std::string(k_upload));
  EXPECT_TRUE(w.process.router.streams_body(head)) << "refused before it is read";
  EXPECT_EQ(w.process.router.max_body(head), 1000u);
}

TEST(AttackBlob, AttackBlob_UploadsThatAreNeverUsedAreLimitedBothSides) {
  BlobWorld w;
  const auto alice = w.sign_up("alice"), bob = w.sign_up("bob");
  TidClock tids(1);
  w.World::write([&, id = w.account(alice).id](store::Tx& tx) {
    for (std::int64_t i = 1; i < BlobService::k_max_temporary; ++i)
      blobs::put(tx, id,
                 {.cid = Cid::of_raw(as_bytes(std::to_string(i))),
                  .upload = tids.next(w.clock.now()),
                  .mime_type = "text/plain",
                  .size = 1},
                 w.clock.now());
  });
  // Two at once: each finds room when it begins, and is counted again when it is kept.
  const auto account = w.account(alice);
  auto request = web::Request::make("POST", "/", k_png + "1"),
       racer = web::Request::make("POST", "/", k_png + "2");
  auto first = run(w.pds().blobs().receive(account, web::BodyReader(request)));
  auto second = run(w.pds().blobs().receive(account, web::BodyReader(racer)));
  EXPECT_TRUE(run(w.pds().blobs().keep(account, *std::move(first), "image/png")));
  EXPECT_EQ(run(w.pds().blobs().keep(account, *std::move(second), "image/png")).error().code,
            xrpc::Error::RateLimitExceeded);
  const auto refused = w.upload(k_png + "3", "image/png", alice.access);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.error(), "RateLimitExceeded");
  EXPECT_EQ(w.files(), 1u);
  EXPECT_EQ(w.upload(k_png, "image/png", bob.access).status, 200) << "nobody else's are counted";
  w.clock.advance(BlobService::k_temporary_lifetime);
  run(w.pds().blobs().expire());
  EXPECT_EQ(w.upload(k_png + "3", "image/png", w.again(alice).access).status, 200);
}

TEST(AttackBlob, AttackBlob_AnotherAccountsIsNeitherSeenNorUsedNorLost) {
  BlobWorld w;
  const auto alice = w.sign_up("alice"), bob = w.sign_up("bob");
  const auto blob = w.blob(k_png, alice);
  const std::string cid = BlobWorld::cid_of(blob);
  EXPECT_EQ(w.create(bob, "mine", blob).error(), "BlobNotFound");
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  EXPECT_EQ(w.create(bob, "mine", blob).error(), "BlobNotFound");
  EXPECT_EQ(w.get_blob(bob, cid).error(), "BlobNotFound");
  EXPECT_EQ(w.get_blob(bob, cid, bob.access).error(), "BlobNotFound");
  // The same bytes are two blobs.
  EXPECT_EQ(w.create(bob, "mine", w.blob(k_png, bob)).status, 200);
  EXPECT_EQ(w.files(), 2u);
  EXPECT_EQ(w.World::post(
                 "com.atproto.repo.deleteRecord",
                 json::Object{
                     {"repo", alice.did.str()}, {"collection", std::string(k_collection)}, {"rkey", "one"}},
                 bob.access)
                .status,
            401);
  EXPECT_EQ(w.write("deleteRecord", bob, "mine", std::nullopt).status, 200);
  EXPECT_EQ(w.get_blob(bob, cid).error(), "BlobNotFound");
  EXPECT_EQ(w.get_blob(alice, cid).text, k_png);
}

TEST(AttackBlob, AttackBlob_HostileParametersGetTheProtocolsErrors) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto blob = w.blob(k_png, alice);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  const std::string cid = BlobWorld::cid_of(blob), did = alice.did.str();
  const std::string method = "/xrpc/com.atproto.sync.getBlob";
  struct Row {
    std::string did, cid;
    const char* error;
  };
  for (const auto& [d, c, error] :
       {Row{did, "../../etc/passwd", "InvalidRequest"}, Row{did, "..%2f..%2fetc%2fpasswd", "InvalidRequest"},
        Row{did, cid + "%00", "InvalidRequest"}, Row{did, cid + "/../" + cid, "InvalidRequest"},
        Row{did, std::string(4'000, 'b'), "InvalidRequest"}, Row{did, "", "InvalidRequest"},
        Row{did, "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", "InvalidRequest"},
        Row{did, Cid::of_dag_cbor(as_bytes(k_png)).str(), "BlobNotFound"},
        Row{did, Cid::of_raw({}).str(), "BlobNotFound"}, Row{"../1", cid, "InvalidRequest"},
        Row{"did:plc:..%2f..%2f1", cid, "InvalidRequest"}, Row{did + "%00", cid, "InvalidRequest"},
        Row{"did:web:" + std::string(4'000, 'a'), cid, "InvalidRequest"},
        Row{"alice.test", cid, "InvalidRequest"},
        Row{"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", cid, "RepoNotFound"},
        Row{"did:web:..%3A..%3A1", cid, "RepoNotFound"}}) {
    const auto got = w.get(method + "?did=" + d + "&cid=" + c);
    EXPECT_EQ(got.status, 400) << d.substr(0, 50) << " " << c.substr(0, 80);
    EXPECT_EQ(got.error(), error) << d.substr(0, 50) << " " << c.substr(0, 80);
  }
  EXPECT_EQ(w.get(method + "?did=" + did).error(), "InvalidRequest");
  EXPECT_EQ(w.get(method + "?cid=" + cid).error(), "InvalidRequest");
  EXPECT_EQ(w.get(method + "?did=" + did + "&cid=" + cid + "&cid=" + cid).error(), "InvalidRequest");
  const std::string list = "/xrpc/com.atproto.sync.listBlobs?did=" + did;
  for (const auto* cursor : {"../x", "%00", "'%3B--", "b"})
    EXPECT_EQ(w.get(list + "&cursor=" + cursor).error(), "InvalidRequest") << cursor;
}

TEST(AttackBlob, AttackBlob_OldReferencesAreNotWritten) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const std::string cid = BlobWorld::cid_of(w.blob(k_png, alice));
  const auto got = w.create(alice, "one", json::Object{{"cid", cid}, {"mimeType", "image/png"}});
  EXPECT_EQ(got.status, 400);
  EXPECT_EQ(got.message(), "Legacy blobs are not allowed");
  // A plain link is no reference and keeps nothing.
  EXPECT_EQ(w.create(alice, "two", json::Object{{"$link", cid}}).status, 200);
  EXPECT_EQ(w.get_blob(alice, cid).error(), "BlobNotFound");
}

TEST(AttackBlob, AttackBlob_OnlyTheAccountUploads) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto status = [&](const std::string& auth) { return w.upload(k_png, "image/png", auth).status; };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status(alice.refresh), 400);
  EXPECT_EQ(status("Bearer x"), 400);
  const auto made =
      w.post("com.atproto.server.createAppPassword", json::Object{{"name", "app"}}, alice.access);
  const auto app = w.post("com.atproto.server.createSession",
                          json::Object{{"identifier", alice.handle}, {"password", made.text_at("password")}});
  EXPECT_EQ(status("Bearer " + app.text_at("accessJwt")), 200);
  EXPECT_EQ(w.upload(k_png, "", alice.access).status, 400) << "a type is needed";
  EXPECT_EQ(w.upload(k_png, "image", alice.access).status, 400);
  EXPECT_EQ(w.upload(k_png, "image/png\"><script>", alice.access).status, 400);
  const auto coded = w.upload(k_png, "image/png", alice.access, {{"Content-Encoding", "br"}});
  EXPECT_EQ(coded.status, 415);
  EXPECT_EQ(coded.error(), "UnsupportedMediaType");
  w.World::write([id = w.account(alice).id](store::Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  EXPECT_EQ(w.upload(k_png, "image/png", alice.access).error(), "AccountTakedown");
}

TEST(AttackBlob, AttackBlob_ServiceTokensAreForThisMethodAndServerAndAccount) {
  BlobWorld w;
  const auto alice = w.sign_up("alice"), bob = w.sign_up("bob");
  const auto key = run(w.pds().repos().signing_key(w.account(alice)));
  const Time now = w.clock.now();
  const ServiceJwt good{.iss = alice.did,
                        .aud = "did:web:pds.test",
                        .lxm = Nsid::parse(k_upload).value(),
                        .iat = now,
                        .exp = now + 60s};
  const auto send = [&](const ServiceJwt& jwt) {
    return w.upload(k_mp4, "video/mp4", "Bearer " + sign_service_jwt(jwt, key, w.rng));
  };
  EXPECT_EQ(send(good).status, 200);
  const auto asked =
      w.get("/xrpc/com.atproto.server.getServiceAuth?aud=did:web:pds.test&lxm=" + std::string(k_upload),
            alice.access);
  EXPECT_EQ(w.upload(k_mp4, "video/mp4", "Bearer " + asked.text_at("token")).status, 200);

  auto other = good;
  other.aud = "did:web:other.test";
  EXPECT_EQ(send(other).error(), "BadJwtAudience");
  other = good;
  other.lxm = Nsid::parse("com.atproto.repo.createRecord").value();
  EXPECT_EQ(send(other).error(), "BadJwtLexiconMethod");
  other = good;
  other.exp = now;
  EXPECT_EQ(send(other).status, 200) << "to its last second";
  other.exp = now - 1s;
  EXPECT_EQ(send(other).error(), "JwtExpired");
  other = good;
  other.iss = bob.did;
  EXPECT_EQ(send(other).error(), "BadJwtSignature") << "signed by another account's key";
  other.iss = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").value();
  EXPECT_EQ(send(other).error(), "UntrustedIss");
  other = good;
  other.lxm.reset();
  EXPECT_EQ(send(other).status, 400) << "for no method: taken for a session's, which it is not";
  for (const auto* typ : {"at+jwt", "refresh+jwt", "dpop+jwt", "AT+JWT"}) {
    const auto jwt = oauth::sign_jwt({{"typ", typ}},
                                     {{"iss", alice.did.str()},
                                      {"aud", "did:web:pds.test"},
                                      {"lxm", std::string(k_upload)},
                                      {"exp", unix_seconds(now) + 60}},
                                     key);
    EXPECT_EQ(w.upload(k_mp4, "video/mp4", "Bearer " + jwt).error(), "BadJwtType") << typ;
  }
  const std::string token = "Bearer " + sign_service_jwt(good, key, w.rng);
  EXPECT_EQ(w.create({.did = alice.did, .handle = alice.handle, .access = token, .refresh = ""}, "one",
                     w.blob(k_png, alice))
                .status,
            400)
      << "no other method takes it";
}

TEST(AttackBlob, AttackBlob_RestAndTakedownHideThem) {
  BlobWorld w;
  const auto alice = w.sign_up("alice"), bob = w.sign_up("bob");
  const auto blob = w.blob(k_png, alice);
  const std::string cid = BlobWorld::cid_of(blob);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  const std::string list = "/xrpc/com.atproto.sync.listBlobs?did=" + alice.did.str();
  const auto hidden_as = [&](const char* error) {
    for (const auto& auth : {std::string(), bob.access}) {
      EXPECT_EQ(w.get_blob(alice, cid, auth).error(), error);
      EXPECT_EQ(w.get(list, auth).error(), error);
    }
  };
  EXPECT_EQ(w.post("com.atproto.server.deactivateAccount", json::Object{}, alice.access).status, 200);
  hidden_as("RepoDeactivated");
  EXPECT_EQ(w.get_blob(alice, cid, alice.access).text, k_png) << "the account itself";
  EXPECT_EQ(w.get(list, alice.access).status, 200);
  w.World::write([id = w.account(alice).id](store::Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  hidden_as("RepoTakendown");
}

TEST(AttackBlob, AttackBlob_ADamagedFileIsNoBlob) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto blob = w.blob(k_png, alice);
  const std::string cid = BlobWorld::cid_of(blob);
  EXPECT_EQ(w.create(alice, "one", blob).status, 200);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(w.folder.path() + "/blobs"))
    if (entry.is_regular_file()) std::filesystem::resize_file(entry.path(), 5);
  EXPECT_EQ(w.get_blob(alice, cid).error(), "BlobNotFound");
  std::filesystem::remove_all(w.folder.path() + "/blobs");
  EXPECT_EQ(w.get_blob(alice, cid).error(), "BlobNotFound");
}

TEST(AttackBlob, AttackBlob_AnUploadThatOutlastsItsAccountStaysNowhere) {
  BlobWorld w;
  const auto alice = w.sign_up("alice");
  const auto account = w.account(alice);
  web::Request request = web::Request::make("POST", "/", k_png);
  auto received = run(w.pds().blobs().receive(account, web::BodyReader(request)));
  ASSERT_TRUE(received);
  EXPECT_TRUE(run(w.pds().lifecycle().delete_account(account)));
  EXPECT_EQ(run(w.pds().blobs().keep(account, *std::move(received), "image/png")).error().code,
            xrpc::Error::AccountNotFound);
  EXPECT_EQ(w.files(), 0u);
  EXPECT_EQ(w.rows(), 0);
}

}  // namespace
}  // namespace latchkey::pds
