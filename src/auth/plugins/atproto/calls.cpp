#include "auth/plugins/atproto/calls.h"

#include <algorithm>
#include <stdexcept>

#include "atproto/syntax/nsid.h"

namespace latchkey::auth::bsky {
namespace {

// Shown, kept or played by browsers as what they are; everything else is a download.
constexpr std::string_view k_answer_types[] = {"application/json", "application/vnd.ipld.car",
                                               "image/png",        "image/jpeg",
                                               "image/gif",        "image/webp",
                                               "image/avif",       "video/mp4"};

bool is_group(std::string_view pattern) {
  return pattern.ends_with(".*") && Nsid::parse(std::string(pattern.substr(0, pattern.size() - 1)) + "any");
}

/// did#service, of what stands in DID documents (https://atproto.com/specs/xrpc#service-proxying).
bool is_audience(std::string_view text) {
  const auto hash = text.find('#');
  if (hash == text.npos || !Did::parse(text.substr(0, hash))) return false;
  const auto service = text.substr(hash + 1);
  return !service.empty() && service.size() <= 128 && std::ranges::all_of(service, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
}

std::string media_type(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ') || type.ends_with('\t')) type.pop_back();
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type;
}

bool is_plain(std::string_view value) {
  return !value.empty() && std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

AllowedCalls::AllowedCalls(std::vector<AllowedCall> calls) : calls_(std::move(calls)) {
  for (const AllowedCall& call : calls_) {
    if (!Nsid::parse(call.method) && !is_group(call.method))
      throw std::invalid_argument("atproto: \"" + call.method +
                                  "\" is neither a method nor a group like app.bsky.feed.*");
    if (!call.audience.empty() && !is_audience(call.audience))
      throw std::invalid_argument("atproto: \"" + call.audience +
                                  "\" is no audience like did:web:api.bsky.app#bsky_appview");
  }
}

bool AllowedCalls::allows(std::string_view nsid, std::string_view audience) const {
  if (!Nsid::parse(nsid)) return false;
  return std::ranges::any_of(calls_, [&](const AllowedCall& call) {
    if (call.audience != audience) return false;
    if (!call.method.ends_with(".*")) return call.method == nsid;
    return nsid.starts_with(std::string_view(call.method).substr(0, call.method.size() - 1));
  });
}

HeaderList call_headers(const web::Request& request) {
  HeaderList out;
  for (const auto name : k_call_headers)
    if (const auto value = request.headers.get(name); !value.empty() && value.size() <= 1024)
      out.emplace_back(name, value);
  return out;
}

bool is_form_type(std::string_view type) {
  return type == "application/x-www-form-urlencoded" || type == "multipart/form-data" || type == "text/plain";
}

web::Response call_answer(FetchResponse answer, bool https) {
  web::Response out = web::Response::empty(answer.status);
  const std::string type = media_type(answer.header("content-type"));
  const bool known = std::ranges::find(k_answer_types, type) != std::end(k_answer_types);
  if (!answer.body.empty()) {
    out.header("content-type", known ? type : "application/octet-stream");
    if (type != "application/json") out.header("content-disposition", "attachment");
  }
  for (const auto name : k_answer_headers)
    if (auto value = answer.header(name); is_plain(value) && value.size() <= 1024)
      out.header(std::string(name), std::move(value));
  out.header("content-security-policy", "default-src 'none'; sandbox");
  out.body = std::move(answer.body);
  web::add_data_headers(out, https);
  return out;
}

}  // namespace latchkey::auth::bsky
