#include <fmt/format.h>

#include <map>

#include "base/encoding.h"
#include "base/mx_lookup.h"
#include "mail/check.h"

namespace latchkey::mail {

namespace {

using Mark = Finding::Mark;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::string without_spaces(std::string_view text) {
  std::string out(text);
  std::erase_if(out, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  return out;
}

// RFC 6376 §3.2; DMARC has the same form (RFC 7489 §6.4). std::nullopt for what is no list of tags, or has
// one twice.
std::optional<std::map<std::string, std::string>> tags(std::string_view record) {
  std::map<std::string, std::string> out;
  while (!record.empty()) {
    const auto end = std::min(record.find(';'), record.size());
    const auto tag = record.substr(0, end);
    record.remove_prefix(std::min(end + 1, record.size()));
    if (without_spaces(tag).empty()) continue;
    const auto equals = tag.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    if (!out.emplace(without_spaces(tag.substr(0, equals)), without_spaces(tag.substr(equals + 1))).second)
      return std::nullopt;
  }
  return out;
}

Finding not_asked(std::string_view what, const FetchError& e) {
  return {Mark::note, fmt::format("{}: DNS could not be asked ({}).", what, e.detail)};
}

Finding mx_finding(const std::string& domain, const std::vector<MxRecord>& records) {
  if (records.empty())
    return {
        Mark::note,
        fmt::format("MX: {} has no mail server. What comes back from undeliverable mails is lost, and some "
                    "receivers distrust such a sender.",
                    domain)};
  if (records.size() == 1 && records[0].host.empty())  // RFC 7505 §4.2: such a domain is no sender either
    return {
        Mark::wrong,
        fmt::format("MX: {} says that it has no mail at all. Receivers refuse what comes from it.", domain)};
  return {Mark::good, fmt::format("MX: {} receives mail.", domain)};
}

bool is_spf(std::string_view record) {  // RFC 7208 §4.5
  const std::string text = lower(record.substr(0, 7));
  return text == "v=spf1" || text == "v=spf1 ";
}

Finding spf_finding(const std::string& domain, const std::vector<std::string>& records) {
  std::string spf;
  std::size_t count = 0;
  for (const auto& record : records)
    if (is_spf(record)) {
      ++count;
      spf = lower(record);
    }
  if (count == 0)
    return {Mark::wrong,
            fmt::format(
                "SPF: {} has no record. Publish a TXT record that names the servers that send for it; your "
                "provider's documentation has it (\"v=spf1 include:… -all\").",
                domain)};
  if (count > 1)  // RFC 7208 §4.5: permerror
    return {Mark::wrong,
            fmt::format("SPF: {} has {} records. With more than one, none counts.", domain, count)};
  const std::string terms = spf + " ";
  for (const char* all : {" all ", " +all "})
    if (terms.find(all) != std::string::npos)
      return {
          Mark::wrong,
          fmt::format("SPF: the record of {} lets every machine send in its name. End it with -all or ~all.",
                      domain)};
  return {Mark::good,
          fmt::format("SPF: {} has one record. See that it names your provider: {}", domain, spf)};
}

Finding dkim_finding(const Dkim& dkim, const std::vector<std::string>& records) {
  const std::string name = dkim.record_name();
  if (records.empty())
    return {Mark::wrong,
            fmt::format("DKIM: {} is not in DNS. Publish there the TXT record: {}", name, dkim.record())};
  if (records.size() > 1)  // RFC 6376 §3.6.2.2: what receivers do then is undefined
    return {Mark::wrong,
            fmt::format("DKIM: {} has {} TXT records. There must be one.", name, records.size())};
  const auto found = tags(records[0]);
  const auto tag = [&](const char* key) {
    const auto at = found->find(key);
    return at == found->end() ? std::optional<std::string>() : at->second;
  };
  if (!found || tag("v").value_or("DKIM1") != "DKIM1" || !tag("p"))
    return {Mark::wrong, fmt::format("DKIM: what {} holds is no key. It should be: {}", name, dkim.record())};
  if (tag("p")->empty())
    return {Mark::wrong, fmt::format("DKIM: the key at {} was withdrawn (p= is empty).", name)};
  const bool same_type =
      tag("k").value_or("rsa") == (dkim.key.type() == crypto::DkimKey::Type::rsa ? "rsa" : "ed25519");
  if (!same_type || tag("p") != base64(dkim.key.public_key()))
    return {Mark::wrong,
            fmt::format("DKIM: {} holds another key than the one that signs here. It should be: {}", name,
                        dkim.record())};
  if (tag("t").value_or("").find('y') != std::string::npos)
    return {
        Mark::note,
        fmt::format("DKIM: {} holds our key, but says it is a test (t=y). Receivers may ignore it.", name)};
  return {Mark::good, fmt::format("DKIM: {} holds our key.", name)};
}

std::optional<Finding> dmarc_finding(const std::string& domain, const std::string& at,
                                     const std::vector<std::string>& records) {
  std::string record;
  std::size_t count = 0;
  for (const auto& r : records)
    if (r.starts_with("v=DMARC1")) {  // RFC 7489 §6.6.3
      ++count;
      record = r;
    }
  if (count == 0) return std::nullopt;
  if (count > 1)
    return Finding{
        Mark::wrong,
        fmt::format("DMARC: _dmarc.{} has {} records. With more than one, none counts.", at, count)};
  const auto found = tags(record);
  const auto policy = [&]() -> std::string {
    if (!found) return "";
    if (const auto sub = found->find("sp"); at != domain && sub != found->end()) return lower(sub->second);
    const auto p = found->find("p");
    return p == found->end() ? "" : lower(p->second);
  }();
  if (policy == "none")
    return Finding{Mark::note,
                   fmt::format("DMARC: _dmarc.{} only watches (none): forged mails are not held back.", at)};
  if (policy == "quarantine" || policy == "reject")
    return Finding{Mark::good, fmt::format("DMARC: _dmarc.{} says {} for what is forged.", at, policy)};
  return Finding{Mark::wrong, fmt::format("DMARC: the record at _dmarc.{} has no policy: {}", at, record)};
}

// At the domain itself, then above it. Receivers go to the organisation's domain, which only a list of public
// suffixes tells; asking one name after the other finds the same record.
Task<Finding> dmarc(std::string domain, TxtLookup* txt) {
  for (std::string at = domain; at.find('.') != std::string::npos; at.erase(0, at.find('.') + 1)) {
    const auto records = co_await txt->txt("_dmarc." + at);
    if (!records) co_return not_asked("DMARC", records.error());
    if (auto found = dmarc_finding(domain, at, *records)) co_return *std::move(found);
  }
  co_return Finding{
      Mark::wrong,
      fmt::format("DMARC: _dmarc.{} is not in DNS. Large receivers want it; begin with the TXT record "
                  "\"v=DMARC1; p=none\".",
                  domain)};
}

}  // namespace

Task<Findings> check_dns(EmailAddress from, std::optional<Dkim> dkim, TxtLookup& txt, MxLookup& mx) {
  const std::string domain(from.domain());
  Findings out;
  const auto servers = co_await mx.mx(domain);
  out.push_back(servers ? mx_finding(domain, *servers) : not_asked("MX", servers.error()));
  const auto spf = co_await txt.txt(domain);
  out.push_back(spf ? spf_finding(domain, *spf) : not_asked("SPF", spf.error()));
  if (dkim) {
    const auto key = co_await txt.txt(dkim->record_name());
    out.push_back(key ? dkim_finding(*dkim, *key) : not_asked("DKIM", key.error()));
  } else {
    out.push_back(
        {Mark::note,
         "DKIM: mails are not signed here. That is right when your provider signs them for your domain; "
         "otherwise see LATCHKEY_DKIM_DOMAIN."});
  }
  out.push_back(co_await dmarc(domain, &txt));
  co_return out;
}

}  // namespace latchkey::mail
