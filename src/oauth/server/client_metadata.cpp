#include "oauth/server/client_metadata.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/url.h"

namespace latchkey::oauth {
namespace {

constexpr std::size_t k_max_redirect_uris = 32;

auto bad_metadata(std::string description) {
  return fault(Error::invalid_client_metadata, std::move(description));
}
auto bad_redirect(std::string description) {
  return fault(Error::invalid_redirect_uri, std::move(description));
}

bool is_local_name(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local") ||
         host.ends_with(".internal") || host.ends_with(".arpa") || host.find('.') == std::string_view::npos;
}
// May this host stand in an https URL of a client?
bool is_acceptable_host(const Url& url, LocalHosts local) {
  if (local == LocalHosts::allow) return true;
  return !url.host_is_ip() && !is_local_name(url.host);
}
bool is_loopback_ip(std::string_view host) { return host == "127.0.0.1" || host == "[::1]"; }

bool has_dot_segment(std::string_view path) {
  for (std::size_t at = 0; at < path.size();) {
    const auto next = path.find('/', at + 1);
    auto segment = percent_decode(path.substr(at + 1, next == std::string_view::npos ? next : next - at - 1));
    if (!segment || *segment == "." || *segment == "..") return true;
    if (next == std::string_view::npos) break;
    at = next;
  }
  return false;
}

std::string reversed_labels(std::string_view host) {
  std::string out;
  while (!host.empty()) {
    const auto dot = host.rfind('.');
    if (!out.empty()) out += '.';
    out += host.substr(dot == std::string_view::npos ? 0 : dot + 1);
    host = dot == std::string_view::npos ? std::string_view() : host.substr(0, dot);
  }
  return out;
}

// atproto OAuth spec, "Client ID Metadata Document", redirect_uris; RFC 8252 §7, §8.4.
Result<void, Fault> check_redirect_uri(std::string_view text, const ClientId& id, bool native,
                                       LocalHosts local) {
  // Private-use scheme (RFC 8252 §7.1): reversed client_id host, one slash: com.example.app:/callback
  if (const auto colon = text.find(':');
      colon != std::string_view::npos && text.find("://") == std::string_view::npos) {
    if (!native) return bad_redirect("custom schemes are for native clients");
    const auto scheme = text.substr(0, colon);
    if (id.kind() != ClientId::Kind::discoverable || scheme != reversed_labels(id.host()))
      return bad_redirect("the scheme must be the reversed host of the client_id");
    const auto rest = text.substr(colon + 1);
    if (!rest.starts_with('/') || rest.starts_with("//") || rest.find('#') != std::string_view::npos)
      return bad_redirect("a custom scheme is followed by a single slash and has no fragment");
    if (std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }))
      return bad_redirect("redirect_uri must be printable ASCII");
    return {};
  }
  const auto url = Url::parse(text);
  if (!url) return bad_redirect("redirect_uri is not a URL");
  if (!url->userinfo.empty()) return bad_redirect("redirect_uri must not have credentials");
  if (url->fragment) return bad_redirect("redirect_uri must not have a fragment");  // RFC 6749 §3.1.2
  if (url->path.empty() && id.kind() == ClientId::Kind::discoverable && url->scheme != "https")
    return bad_redirect("redirect_uri needs a path");
  if (url->scheme == "http") {
    // RFC 8252 §8.3: the literal address, never a name that could resolve elsewhere.
    if (!is_loopback_ip(url->host))
      return bad_redirect("http is only for loopback addresses (127.0.0.1, [::1])");
    if (!native) return bad_redirect("loopback redirect URIs are for native clients");
    return {};
  }
  if (url->scheme != "https") return bad_redirect("redirect_uri must be https");
  if (!is_acceptable_host(*url, local)) return bad_redirect("redirect_uri must have a public host name");
  return {};
}

Result<std::vector<std::string>, Fault> string_list(const json::Value& doc, std::string_view member) {
  std::vector<std::string> out;
  const json::Value* list = doc.find(member);
  if (!list) return out;
  if (!list->array()) return bad_metadata(std::string(member) + " must be an array");
  for (const auto& item : *list->array()) {
    if (!item.string()) return bad_metadata(std::string(member) + " must hold strings");
    out.push_back(*item.string());
  }
  return out;
}

Result<std::optional<std::string>, Fault> optional_string(const json::Value& doc, std::string_view member) {
  const json::Value* v = doc.find(member);
  if (!v) return std::nullopt;
  if (!v->string()) return bad_metadata(std::string(member) + " must be a string");
  return *v->string();
}

Result<std::optional<std::string>, Fault> https_url(const json::Value& doc, std::string_view member,
                                                    LocalHosts local) {
  TRY(auto text, optional_string(doc, member));
  if (!text) return text;
  const auto url = Url::parse(*text);
  if (!url || url->scheme != "https" || !url->userinfo.empty() || !is_acceptable_host(*url, local))
    return bad_metadata(std::string(member) + " must be an https URL");
  return text;
}

// What the sign-in takes of a client's wishes (epds-flows, section 5).
ClientBranding read_branding(const json::Value& doc, LocalHosts local) {
  const auto given = [&](std::string_view member) { return doc.string_at(member); };
  const auto dropped = [&](std::string_view member) {
    const std::string* id = doc.string_at("client_id");
    log::debug("client metadata: a wish for its looks is left out",
               {{"client_id", id ? *id : ""}, {"member", std::string(member)}});
  };
  const auto color = [&](std::string_view member) -> std::optional<web::Color> {
    if (!doc.find(member)) return std::nullopt;
    auto out = given(member) ? web::Color::parse_hex(*given(member)) : std::nullopt;
    if (!out) dropped(member);
    return out;
  };
  ClientBranding out{.brand_color = color("brand_color"), .background_color = color("background_color")};
  if (auto uri = https_url(doc, "email_template_uri", local))
    out.email_template_uri = *std::move(uri);
  else
    dropped("email_template_uri");
  if (const std::string* text = given("email_subject_template")) {
    std::string line;
    for (const char c : *text)
      if (c != '\r' && c != '\n') line += c;
    const auto is_start = [](unsigned char c) { return (c & 0xc0) != 0x80; };  // of a UTF-8 character
    if (!line.empty() && std::ranges::count_if(line, is_start) <= std::ptrdiff_t{k_max_email_subject})
      out.email_subject_template = std::move(line);
    else
      dropped("email_subject_template");
  } else if (doc.find("email_subject_template")) {
    dropped("email_subject_template");
  }
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const auto space = words.find(' ');
    if (words.substr(0, space) == word) return true;
    words = space == std::string_view::npos ? std::string_view() : words.substr(space + 1);
  }
  return false;
}

}  // namespace

Result<ClientId, Fault> ClientId::parse(std::string_view text, LocalHosts local) {
  const auto bad = [](std::string why) { return fault(Error::invalid_request, "Invalid client_id: " + why); };
  if (text.empty() || text.size() > 2048) return bad("1 to 2048 characters");
  // http://localhost, exactly: no port, an empty or "/" path, parameters allowed.
  if (text.starts_with("http://localhost")) {
    auto rest = text.substr(std::string_view("http://localhost").size());
    if (rest.starts_with('/')) rest.remove_prefix(1);
    if (!rest.empty() && !rest.starts_with('?')) return bad("a loopback client has no port and no path");
    if (rest.find('#') != std::string_view::npos) return bad("no fragment allowed");
    if (!Url::parse(text)) return bad("not a URL");
    return ClientId(std::string(text), Kind::loopback);
  }
  const auto url = Url::parse(text);
  if (!url) return bad("not a URL");
  if (url->scheme != "https") return bad("must be https");
  if (!url->userinfo.empty()) return bad("no credentials allowed");
  if (url->fragment) return bad("no fragment allowed");
  if (url->path.empty() || url->path == "/") return bad("must have a path");
  if (has_dot_segment(url->path)) return bad("no dot segments allowed");
  if (!is_acceptable_host(*url, local)) return bad("must have a public host name");
  if (url->host.ends_with('.')) return bad("no trailing dot allowed");
  // Url drops a default port and lower-cases the host; a client_id has to be in that form already, because it
  // is compared byte for byte everywhere else.
  if ((url->port && local == LocalHosts::refuse) || url->str() != text)
    return bad("no port allowed, host in lower case");
  return ClientId(std::string(text), Kind::discoverable);
}

std::string ClientId::host() const { return kind_ == Kind::loopback ? "localhost" : Url::parse(text_)->host; }

bool Client::allows_redirect_uri(std::string_view uri) const {
  if (contains(redirect_uris, uri)) return true;
  if (!native) return false;
  // RFC 8252 §7.3: any port at the time of the request; everything else must be equal.
  const auto asked = Url::parse(uri);
  if (!asked || asked->scheme != "http" || !is_loopback_ip(asked->host) || !asked->userinfo.empty() ||
      asked->fragment)
    return false;
  return std::any_of(redirect_uris.begin(), redirect_uris.end(), [&](const std::string& known_text) {
    const auto known = Url::parse(known_text);
    const auto path = [](const Url& u) { return u.path.empty() ? std::string("/") : u.path; };
    return known && known->scheme == "http" && known->host == asked->host && path(*known) == path(*asked) &&
           known->query == asked->query;
  });
}

Result<Client, Fault> loopback_client(const ClientId& id) {
  Client client{.id = id, .native = true, .may_refresh = true};
  client.client_name = "";
  const auto mark = id.str().find('?');
  FormFields fields;
  if (mark != std::string::npos) {
    auto parsed = parse_form(std::string_view(id.str()).substr(mark + 1), k_max_redirect_uris + 1);
    if (!parsed) return fault(Error::invalid_request, "Invalid client_id: malformed parameters");
    fields = std::move(*parsed);
  }
  int scopes = 0;
  for (const auto& [name, value] : fields) {
    if (name == "redirect_uri") {
      TRY_VOID(check_redirect_uri(value, id, true, LocalHosts::refuse));
      if (!value.starts_with("http://")) return bad_redirect("loopback clients use loopback redirect URIs");
      client.redirect_uris.push_back(value);
    } else if (name == "scope") {
      if (++scopes > 1) return fault(Error::invalid_request, "Invalid client_id: scope given twice");
      client.scope = value;
    } else {
      return fault(Error::invalid_request, "Invalid client_id: unknown parameter");
    }
  }
  if (client.redirect_uris.empty()) client.redirect_uris = {"http://127.0.0.1/", "http://[::1]/"};
  if (scopes == 0) client.scope = "atproto";
  if (!has_word(client.scope, "atproto")) return fault(Error::invalid_scope, "scope must have \"atproto\"");
  return client;
}

Result<Jwks, Fault> parse_jwks(const json::Value& set) {
  auto jwks = Jwks::parse(set);
  if (!jwks) return bad_metadata("jwks: " + jwks.error().detail);
  const auto usable = [](const Jwk& k) {
    return !k.kid.empty() && k.key.curve() == crypto::Curve::p256 && (k.use.empty() || k.use == "sig");
  };
  if (std::none_of(jwks->keys.begin(), jwks->keys.end(), usable))
    return bad_metadata("jwks has no ES256 signing key with a kid");
  return *jwks;
}

Result<Client, Fault> parse_client_metadata(const ClientId& id, const json::Value& doc, LocalHosts local) {
  if (!doc.object()) return bad_metadata("the document is not an object");
  const std::string* client_id = doc.string_at("client_id");
  if (!client_id || *client_id != id.str())
    return bad_metadata("client_id differs from the document's address");

  Client client{.id = id};
  TRY(auto application_type, optional_string(doc, "application_type"));
  if (application_type && *application_type != "web" && *application_type != "native")
    return bad_metadata("application_type is web or native");
  client.native = application_type == "native";

  TRY(auto grant_types, string_list(doc, "grant_types"));
  if (!contains(grant_types, "authorization_code"))
    return bad_metadata("grant_types must have authorization_code");
  client.may_refresh = contains(grant_types, "refresh_token");
  TRY(auto response_types, string_list(doc, "response_types"));
  if (!contains(response_types, "code")) return bad_metadata("response_types must have code");
  TRY(auto scope, optional_string(doc, "scope"));
  if (!scope || !has_word(*scope, "atproto")) return bad_metadata("scope must have \"atproto\"");
  client.scope = *scope;
  const json::Value* bound = doc.find("dpop_bound_access_tokens");
  if (!bound || !bound->boolean() || !*bound->boolean())
    return bad_metadata("dpop_bound_access_tokens must be true");

  TRY(client.redirect_uris, string_list(doc, "redirect_uris"));
  if (client.redirect_uris.empty() || client.redirect_uris.size() > k_max_redirect_uris)
    return bad_metadata(fmt::format("redirect_uris has 1 to {} entries", k_max_redirect_uris));
  for (const auto& uri : client.redirect_uris) TRY_VOID(check_redirect_uri(uri, id, client.native, local));

  TRY(auto method, optional_string(doc, "token_endpoint_auth_method"));
  TRY(client.jwks_uri, https_url(doc, "jwks_uri", local));
  const json::Value* jwks = doc.find("jwks");
  if (!method || *method == "none") {
    client.token_endpoint_auth_method = ClientAuthMethod::none;
  } else if (*method == "private_key_jwt") {
    if (client.native)
      return bad_metadata("a native client cannot keep a key: use token_endpoint_auth_method none");
    client.token_endpoint_auth_method = ClientAuthMethod::private_key_jwt;
    if ((jwks != nullptr) == client.jwks_uri.has_value())
      return bad_metadata("give exactly one of jwks and jwks_uri");
    if (jwks) {
      TRY(client.jwks, parse_jwks(*jwks));
    }
    TRY(auto alg, optional_string(doc, "token_endpoint_auth_signing_alg"));
    if (!alg || *alg != "ES256") return bad_metadata("token_endpoint_auth_signing_alg must be ES256");
  } else {
    return bad_metadata("token_endpoint_auth_method is none or private_key_jwt");
  }

  TRY(auto name, optional_string(doc, "client_name"));
  if (name && name->size() > 400) return bad_metadata("client_name is too long");
  client.client_name = name.value_or("");
  TRY(client.client_uri, https_url(doc, "client_uri", local));
  if (client.client_uri) {
    // Same origin and a parent path, so a page cannot borrow another site's name.
    const auto about = Url::parse(*client.client_uri), self = Url::parse(id.str());
    if (about->origin() != self->origin())
      return bad_metadata("client_uri must be on the origin of the client_id");
    std::string parent = about->path.empty() ? "/" : about->path;
    if (!parent.ends_with('/')) parent += '/';
    if (!(self->path + "/").starts_with(parent))
      return bad_metadata("client_uri must be a parent of the client_id");
  }
  TRY(client.logo_uri, https_url(doc, "logo_uri", local));
  TRY(client.tos_uri, https_url(doc, "tos_uri", local));
  TRY(client.policy_uri, https_url(doc, "policy_uri", local));
  client.branding = read_branding(doc, local);
  return client;
}

}  // namespace latchkey::oauth
