#include "pds/blob_rules.h"

#include <algorithm>
#include <array>

#include "pds/call.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::string_view k_any_picture[] = {"image/*"};
constexpr std::string_view k_png_or_jpeg[] = {"image/png", "image/jpeg"};
constexpr std::string_view k_mp4[] = {"video/mp4"};
constexpr std::string_view k_vtt[] = {"text/vtt"};

/// `type` is what the nearest object around says it is, `path` leads on from there; an array is "*".
struct Place {
  std::string_view type, path;
  BlobLimit limit;
};

// Lexicons of app.bsky and site.standard. What they say may grow and never shrinks
// (https://atproto.com/specs/lexicon#lexicon-evolution).
constexpr Place k_places[] = {
    {"app.bsky.actor.profile", "avatar", {k_png_or_jpeg, 1'000'000}},
    {"app.bsky.actor.profile", "banner", {k_png_or_jpeg, 1'000'000}},
    {"app.bsky.embed.external", "external/thumb", {k_any_picture, 1'000'000}},
    {"app.bsky.embed.images", "images/*/image", {k_any_picture, 2'000'000}},
    {"app.bsky.embed.video", "captions/*/file", {k_vtt, 20'000}},
    {"app.bsky.embed.video", "video", {k_mp4, 300'000'000}},
    {"app.bsky.feed.generator", "avatar", {k_png_or_jpeg, 1'000'000}},
    {"app.bsky.graph.list", "avatar", {k_png_or_jpeg, 1'000'000}},
    {"site.standard.document", "coverImage", {k_any_picture, 1'000'000}},
    {"site.standard.publication", "icon", {k_any_picture, 1'000'000}},
};

const BlobLimit* limit_at(std::string_view type, std::string_view path) {
  for (const auto& place : k_places)
    if (place.type == type && place.path == path) return &place.limit;
  return nullptr;
}

void collect(const cbor::Value& value, std::string_view type, const std::string& path,
             std::vector<BlobUse>& found) {
  if (const auto* array = value.array()) {
    for (const auto& element : *array) collect(element, type, path + "/*", found);
  } else if (const auto* map = value.map()) {
    if (auto blob = cbor::as_blob(value)) {
      found.push_back({*std::move(blob), limit_at(type, path.empty() ? path : path.substr(1))});
      return;
    }
    const auto* own = map->find("$type");
    const std::string* name = own ? own->string() : nullptr;
    for (const auto& [key, member] : *map)
      collect(member, name ? std::string_view(*name) : type, (name ? "" : path) + "/" + key, found);
  }
}

bool accepts(std::span<const std::string_view> accept, std::string_view type) {
  return std::ranges::any_of(accept, [type](std::string_view pattern) {
    return pattern.ends_with("/*") ? type.starts_with(pattern.substr(0, pattern.size() - 1))
                                   : pattern == type;
  });
}

struct Signature {
  std::size_t at;
  std::string_view bytes, type;
};

using namespace std::string_view_literals;

// https://mimesniff.spec.whatwg.org/ §6.1 and §6.2, and the brands of
// https://mp4ra.org/registered-types/brands.
constexpr Signature k_signatures[] = {
    {0, "\x89PNG\r\n\x1a\n"sv, "image/png"},
    {0, "\xff\xd8\xff"sv, "image/jpeg"},
    {0, "GIF87a"sv, "image/gif"},
    {0, "GIF89a"sv, "image/gif"},
    {8, "WEBPVP"sv, "image/webp"},
    {0, "\x1a\x45\xdf\xa3"sv, "video/webm"},
    {4, "ftypavif"sv, "image/avif"},
    {4, "ftypavis"sv, "image/avif"},
    {4, "ftypheic"sv, "image/heic"},
    {4, "ftypheix"sv, "image/heic"},
    {4, "ftypqt  "sv, "video/quicktime"},
    {4, "ftypisom"sv, "video/mp4"},
    {4, "ftypiso2"sv, "video/mp4"},
    {4, "ftypiso4"sv, "video/mp4"},
    {4, "ftypiso5"sv, "video/mp4"},
    {4, "ftypiso6"sv, "video/mp4"},
    {4, "ftypmp41"sv, "video/mp4"},
    {4, "ftypmp42"sv, "video/mp4"},
    {4, "ftypavc1"sv, "video/mp4"},
    {4, "ftypM4V "sv, "video/mp4"},
    {4, "ftypdash"sv, "video/mp4"},
    {4, "ftypMSNV"sv, "video/mp4"},
};

/// Types that begin with the same bytes as what is sniffed: containers, and pictures that move.
bool is_kind_of(std::string_view declared, std::string_view sniffed) {
  if (sniffed == "image/png") return declared == "image/apng";
  if (sniffed == "video/mp4") return declared == "audio/mp4";
  if (sniffed == "video/webm")
    return declared == "audio/webm" || declared == "video/x-matroska" || declared == "audio/x-matroska" ||
           declared == "video/matroska" || declared == "audio/matroska";
  if (sniffed == "image/heic") return declared == "image/heif";
  return false;
}

bool is_restricted_name(std::string_view name) {  // RFC 6838 §4.2
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 127 && alphanumeric(name.front()) &&
         std::ranges::all_of(
             name, [&](char c) { return alphanumeric(c) || std::string_view("!#$&-^_.+").contains(c); });
}

}  // namespace

std::vector<BlobUse> blobs_used(const cbor::Value& record) {
  std::vector<BlobUse> found;
  collect(record, {}, "", found);
  return found;
}

// The words are those clients know.
Result<void, Fault> check_use(const BlobUse& use, const std::optional<Blob>& blob) {
  if (!blob) return refuse(Error::BlobNotFound, "Could not find blob: " + use.ref.ref.str());
  if (use.limit && blob->size > use.limit->max_size)
    return refuse(Error::BlobTooLarge, "This file is too large. It is " + std::to_string(blob->size) +
                                           " bytes but the maximum size is " +
                                           std::to_string(use.limit->max_size) + " bytes.");
  if (use.ref.mime_type != blob->mime_type)
    return refuse(Error::InvalidMimeType, "Referenced Mimetype does not match stored blob. Expected: " +
                                              blob->mime_type + ", Got: " + use.ref.mime_type);
  if (use.ref.size != blob->size)
    return invalid("Referenced size does not match stored blob. Expected: " + std::to_string(blob->size) +
                   ", Got: " + std::to_string(use.ref.size));
  if (use.limit && !accepts(use.limit->accept, blob->mime_type)) {
    std::string wanted;
    for (const auto& pattern : use.limit->accept)
      wanted += (wanted.empty() ? "" : ",") + std::string(pattern);
    return refuse(Error::InvalidMimeType,
                  "Wrong type of file. It is " + blob->mime_type + " but it must match " + wanted + ".");
  }
  return {};
}

bool is_media_type(std::string_view text) {
  const auto slash = text.find('/');
  return slash != std::string_view::npos && is_restricted_name(text.substr(0, slash)) &&
         is_restricted_name(text.substr(slash + 1));
}

std::optional<std::string_view> sniffed_type(BytesView head, std::string_view declared) {
  const auto bytes = as_text(head);
  for (const auto& signature : k_signatures) {
    if (bytes.size() < signature.at || !bytes.substr(signature.at).starts_with(signature.bytes)) continue;
    if (signature.type == "image/webp" && !bytes.starts_with("RIFF")) continue;
    if (is_kind_of(declared, signature.type)) return std::nullopt;
    return signature.type;
  }
  return std::nullopt;
}

}  // namespace latchkey::pds
