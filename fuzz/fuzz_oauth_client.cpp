// What authorization servers and PDSes send to an OAuth client: metadata, answers to pushed requests, tokens.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/url.h"
#include "oauth/client/server_answers.h"
#include "oauth/client/server_metadata.h"

using namespace latchkey;
using namespace latchkey::oauth::client;

namespace {
void require(bool ok) {
  if (!ok) std::abort();
}
void require_https(const std::string& url) {
  const auto parsed = Url::parse(url);
  require(parsed && parsed->scheme == "https" && parsed->userinfo.empty() && !parsed->fragment);
}
bool is_printable(std::string_view s) {
  return std::ranges::all_of(s, [](char c) { return c >= 0x20 && c < 0x7f; });
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  if (const auto m = ServerMetadata::parse(text, "https://as.example.com", PlainHttp::refuse)) {
    require(m->issuer == "https://as.example.com");
    for (const auto* url :
         {&m->authorization_endpoint, &m->token_endpoint, &m->pushed_authorization_request_endpoint})
      require_https(*url);
    if (!m->revocation_endpoint.empty()) require_https(m->revocation_endpoint);
  }
  if (const auto issuer = parse_protected_resource(text, "https://pds.example.com", PlainHttp::refuse))
    require(parse_origin(*issuer, PlainHttp::refuse) == *issuer);
  if (const auto uri = parse_pushed_answer(text)) require(!uri->empty() && is_printable(*uri));
  if (const auto tokens = TokenAnswer::parse(text)) {
    require(!tokens->access_token.reveal().empty());
    // Goes behind "Authorization: DPoP " as it is.
    require(is_printable(tokens->access_token.reveal()));
    require(tokens->access_token.reveal().find_first_of(" ,\"") == std::string::npos);
    require((" " + tokens->scope + " ").find(" atproto ") != std::string::npos);
    require(!tokens->expires_in || tokens->expires_in->count() >= 0);
    if (tokens->refresh_token) require(is_printable(tokens->refresh_token->reveal()));
  }
  const auto code = error_code(text);
  require(code.size() <= 128 && code.find_first_of("\"\\") == std::string::npos && is_printable(code));
  return 0;
}
