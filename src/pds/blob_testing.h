#pragma once
// Uploads and records that refer to them, for the tests of blobs.

#include <filesystem>

#include "pds/testing.h"

namespace latchkey::pds {

inline const std::string k_png = std::string("\x89PNG\r\n\x1a\n") + "and no picture at all";
inline constexpr std::string_view k_upload = "com.atproto.repo.uploadBlob";
inline constexpr std::string_view k_collection = "com.example.note";

struct BlobWorld : World {
  using World::World;

  Answered upload(std::string content, std::string type, const std::string& auth, web::Headers more = {}) {
    web::Headers headers = std::move(more);
    if (!auth.empty()) headers.set("Authorization", auth);
    if (!type.empty()) headers.set("Content-Type", std::move(type));
    return process.send(web::Request::make("POST", "https://pds.test/xrpc/" + std::string(k_upload),
                                           std::move(content), headers));
  }
  /// The reference to an upload that is expected to be taken.
  json::Value blob(std::string content, const SignedIn& who, std::string type = "image/png") {
    auto got = upload(std::move(content), std::move(type), who.access);
    EXPECT_EQ(got.status, 200) << got.text;
    const auto* found = got.body.find("blob");
    return found ? *found : json::Value();
  }
  /// Another session, when time has passed.
  SignedIn again(SignedIn who) {
    const auto got = post("com.atproto.server.createSession",
                          json::Object{{"identifier", who.handle}, {"password", "correct horse"}});
    who.access = "Bearer " + got.text_at("accessJwt");
    return who;
  }
  static std::string cid_of(const json::Value& blob) { return *blob.find("ref")->string_at("$link"); }

  Answered write(std::string_view method, const SignedIn& who, std::string rkey,
                 std::optional<json::Value> record, std::string collection = std::string(k_collection)) {
    json::Object input{
        {"repo", who.did.str()}, {"collection", std::move(collection)}, {"rkey", std::move(rkey)}};
    if (record) input.set("record", *std::move(record));
    return post("com.atproto.repo." + std::string(method), std::move(input), who.access);
  }
  Answered create(const SignedIn& who, std::string rkey, json::Value blob) {
    return write("createRecord", who, std::move(rkey), json::Object{{"picture", std::move(blob)}});
  }
  Answered get_blob(const SignedIn& who, const std::string& cid, const std::string& auth = {},
                    web::Headers headers = {}, std::string method = "GET") {
    if (!auth.empty()) headers.set("Authorization", auth);
    return process.send(web::Request::make(
        std::move(method),
        "https://pds.test/xrpc/com.atproto.sync.getBlob?did=" + who.did.str() + "&cid=" + cid, {}, headers));
  }
  std::vector<std::string> list_blobs(const SignedIn& who, const std::string& more = {}) {
    const auto got = get("/xrpc/com.atproto.sync.listBlobs?did=" + who.did.str() + more);
    EXPECT_EQ(got.status, 200) << got.text;
    std::vector<std::string> out;
    for (const auto& cid : *got.body.find("cids")->array()) out.push_back(*cid.string());
    return out;
  }
  std::size_t files() const {
    std::size_t n = 0;
    const auto root = folder.path() + "/blobs";
    if (!std::filesystem::exists(root)) return 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      n += entry.is_regular_file();
    return n;
  }
  std::int64_t rows() {
    constexpr static store::Sql k_rows{"SELECT COUNT(*) FROM account_blob"};
    return read([](store::Tx& tx) { return tx.one(k_rows)->int64(0); });
  }
};

}  // namespace latchkey::pds
