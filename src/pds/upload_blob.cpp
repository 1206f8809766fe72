// com.atproto.repo.uploadBlob
#include "pds/blob_rules.h"
#include "pds/method_permissions.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "web/gunzip.h"

namespace latchkey::pds {
namespace {

Result<void, xrpc::Fault> may_upload(const Credentials& who, std::string_view type) {
  if (who.kind != Credentials::Kind::oauth || who.permissions->allows_blob(type)) return {};
  return fail(scope_missing(oauth::Permissions::missing_blob(type)));
}

}  // namespace

// Accounts that are deactivated may: they are moving in.
Task<Answer> upload_blob(Pds& pds, Call call) {
  const Account& account = call.who().account;
  std::string declared = call.request.content_type();
  if (declared == "*/*") declared = "application/octet-stream";  // what clients send that do not know
  if (!is_media_type(declared)) co_return invalid("Wrong request encoding (Content-Type): " + declared);
  const auto coding = call.request.headers.get("content-encoding");
  const bool packed = web::equal_no_case(coding, "gzip");
  if (!packed && !coding.empty() && !web::equal_no_case(coding, "identity"))
    co_return refuse(xrpc::Error::UnsupportedMediaType, "unsupported content-encoding");
  CO_TRY_VOID(may_upload(call.who(), declared));

  if (packed) call.request.body_stream = web::gunzip(web::BodyReader(call.request));
  CO_TRY(auto received, co_await pds.blobs().receive(account, web::BodyReader(call.request)));
  const auto sniffed = sniffed_type(received.head, declared);
  // Else an app that may upload pictures could upload videos by another name.
  if (sniffed) CO_TRY_VOID(may_upload(call.who(), *sniffed));
  CO_TRY(auto blob, co_await pds.blobs().keep(account, std::move(received),
                                              sniffed ? std::string(*sniffed) : std::move(declared)));
  co_return web::Response::json(
      json::Object{{"blob", json::Object{{"$type", "blob"},
                                         {"ref", json::Object{{"$link", blob.cid.str()}}},
                                         {"mimeType", std::move(blob.mime_type)},
                                         {"size", blob.size}}}});
}

}  // namespace latchkey::pds
