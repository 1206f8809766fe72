// com.atproto.sync.getBlob
#include <charconv>
#include <limits>

#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/repo_access.h"

namespace latchkey::pds {
namespace {

constexpr std::size_t k_piece = 256 * 1024;

struct Range {
  std::uint64_t first, count;
};

Task<std::optional<Bytes>> next_piece(std::shared_ptr<BlobReader> reader,
                                      std::shared_ptr<std::uint64_t> left) {
  if (*left == 0) co_return std::nullopt;
  auto piece = co_await reader->read(std::min<std::uint64_t>(*left, k_piece));
  if (piece) *left -= piece->size();
  co_return piece;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || bad != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

/// RFC 9110 §14.1.2: one range of bytes. Anything else is not looked at, which §14.2 allows: std::nullopt. A
/// count of 0 is a range that cannot be had.
std::optional<Range> range_of(std::string_view header, std::uint64_t size) {
  if (!header.starts_with("bytes=")) return std::nullopt;
  header.remove_prefix(6);
  const auto dash = header.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto from = header.substr(0, dash), to = header.substr(dash + 1);
  if (from.empty()) {
    const auto last = number(to);
    if (!last) return std::nullopt;
    const auto count = std::min(*last, size);
    return Range{size - count, count};
  }
  const auto first = number(from);
  const auto last = to.empty() ? std::optional(std::numeric_limits<std::uint64_t>::max()) : number(to);
  if (!first || !last || *last < *first) return std::nullopt;
  if (*first >= size) return Range{0, 0};
  return Range{*first, std::min(*last, size - 1) - *first + 1};
}

/// RFC 9110 §13.1.2. Tags have no commas.
bool matches(std::string_view if_none_match, std::string_view tag) {
  while (!if_none_match.empty()) {
    const auto comma = if_none_match.find(',');
    auto one = if_none_match.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == tag || one == "*") return true;
    if_none_match = comma == std::string_view::npos ? "" : if_none_match.substr(comma + 1);
  }
  return false;
}

// What came from a stranger is a file to keep, never a page of this origin.
web::Response blob_response(const web::Request& request, const Blob& blob,
                            std::shared_ptr<BlobReader> reader) {
  const std::string cid = blob.cid.str(), tag = "\"" + cid + "\"";
  const std::uint64_t size = reader->size();
  web::Response response;
  const auto* if_range = request.headers.find("if-range");
  const auto range = request.method == "GET" && (!if_range || *if_range == tag)
                         ? range_of(request.headers.get("range"), size)
                         : std::nullopt;
  if (matches(request.headers.get("if-none-match"), tag)) {
    response = web::Response::empty(304);
  } else if (range && range->count == 0) {
    response = web::Response::error(416, "InvalidRequest", "Range not satisfiable");
    response.header("content-range", "bytes */" + std::to_string(size));
    return response;
  } else {
    auto left = std::make_shared<std::uint64_t>(range ? range->count : size);
    response =
        web::Response::streamed(blob.mime_type, [reader, left] { return next_piece(reader, left); }, *left);
    if (range) {
      reader->seek(range->first);
      response.status = 206;
      response.header("content-range", "bytes " + std::to_string(range->first) + "-" +
                                           std::to_string(range->first + range->count - 1) + "/" +
                                           std::to_string(size));
    }
  }
  response.header("etag", tag);
  response.header("accept-ranges", "bytes");
  response.header("x-content-type-options", "nosniff");
  response.header("content-disposition", "attachment; filename=\"" + cid + "\"");
  response.header("content-security-policy", "default-src 'none'; sandbox");
  return response;
}

}  // namespace

Task<Answer> get_blob(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  CO_TRY(auto cid, call.param<Cid>("cid"));
  CO_TRY(auto account, co_await readable_repo(&pds, did, call.caller.account));
  const auto blob =
      co_await pds.db().read([&](store::Tx& tx) { return blobs::get_referenced(tx, account.id, cid); });
  auto reader = blob ? co_await pds.blobs().open(account, *blob) : nullptr;
  if (!reader) co_return refuse(xrpc::Error::BlobNotFound, "Blob not found");
  co_return blob_response(call.request, *blob, std::move(reader));
}

}  // namespace latchkey::pds
