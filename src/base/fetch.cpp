#include "base/fetch.h"

namespace latchkey {

std::string FetchResponse::header(std::string_view name) const {
  for (const auto& [n, v] : headers)
    if (n == name) return v;
  return {};
}

bool read_source(FetchRequest& request) {
  BodySource& source = *request.source;
  if (!source.rewind()) return false;
  request.body.resize(source.size());
  const std::span<std::uint8_t> all(reinterpret_cast<std::uint8_t*>(request.body.data()),
                                    request.body.size());
  for (std::size_t at = 0; at < all.size();) {
    const auto n = source.read(all.subspan(at));
    if (!n || *n == 0) return false;
    at += *n;
  }
  request.source.reset();
  return true;
}

bool pass_to_sink(BodySink& sink, FetchResponse& response) {
  if (response.status < 200 || response.status > 299 || response.body.empty()) return true;
  const bool taken = sink.write(as_bytes(response.body));
  response.body.clear();
  return taken;
}

}  // namespace latchkey
