#include "signin/devices.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "signin/agent.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_id_bytes = 16;

enum class Secrecy {
  unknown,
  newest,
  due,       // the newest, and old enough for another
  previous,  // of a request that was under way when another one brought the newest
  waiting,   // the same, but the newest came with a sign-in: worth nothing, proves nothing
  copied
};

Secrecy judge(const std::optional<devices::Device>& device, std::int64_t generation, Time now) {
  // A number from the future: the database is an older one than the cookie.
  if (!device || generation > device->generation) return Secrecy::unknown;
  if (generation == device->generation)
    return now - device->rotated_at >= k_device_rotation ? Secrecy::due : Secrecy::newest;
  if (generation < device->generation - 1 || now - device->rotated_at > k_device_grace)
    return Secrecy::copied;
  return device->rotated_at == device->signed_in_at ? Secrecy::waiting : Secrecy::previous;
}

void log_copied(const std::string& device, const std::string& ip) {
  log::warn("an old device secret was used; every sign-in of the device ended",
            {{"device", device}, {"ip", ip}});
}

}  // namespace

Devices::Devices(store::Database& db, const Clock& clock, Rng& rng, Secret<Bytes> key, bool https)
    : db_(db),
      clock_(clock),
      rng_(rng),
      key_(std::move(key)),
      https_(https),
      cookie_(web::host_cookie_name("latchkey_device", https)) {}

// base64url of the id, '.', the generation in decimal, '.', a MAC over both.
std::string Devices::cookie_value(std::string_view id, std::int64_t generation) const {
  const std::string body = fmt::format("{}.{}", id, generation);
  return body + "." + base64url(crypto::hmac_sha256(key_.reveal(), as_bytes(body)));
}

std::optional<Devices::Presented> Devices::presented(const web::Request& request) const {
  const auto cookie = request.cookie(cookie_);
  if (!cookie || cookie->size() > 100) return std::nullopt;
  const auto dot = cookie->find('.'), second = cookie->find('.', dot + 1);
  if (dot == std::string::npos || second == std::string::npos) return std::nullopt;
  const std::string number = cookie->substr(dot + 1, second - dot - 1);
  if (number.empty() || number.size() > 10 || number.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  Presented out{cookie->substr(0, dot), std::stoll(number)};
  if (!crypto::equal(cookie_value(out.id, out.generation), *cookie)) return std::nullopt;
  return out;
}

Task<std::optional<Visit>> Devices::visit(web::Request request) {
  const auto cookie = presented(request);
  if (!cookie) co_return std::nullopt;
  const Time now = clock_.now();
  auto device = co_await db_.read([&](store::Tx& tx) { return devices::find(tx, cookie->id); });
  Secrecy secrecy = judge(device, cookie->generation, now);
  if (secrecy == Secrecy::due || secrecy == Secrecy::copied) {
    co_await db_.write([&](store::Tx& tx) {
      device = devices::find(tx, cookie->id);
      secrecy = judge(device, cookie->generation, now);
      if (secrecy == Secrecy::due) {
        devices::rotate(tx, device->id, now);
        ++device->generation;
      }
      if (secrecy == Secrecy::copied) devices::remove(tx, device->id);
    });
    if (secrecy == Secrecy::copied) log_copied(cookie->id, request.remote_ip);
  }
  switch (secrecy) {
    case Secrecy::newest:
      co_return Visit{cookie->id, std::nullopt};
    case Secrecy::due:
    case Secrecy::previous:
      co_return Visit{cookie->id, cookie_value(device->id, device->generation)};
    case Secrecy::unknown:
    case Secrecy::waiting:
    case Secrecy::copied:
      break;
  }
  // The cookie stays as it is: another answer may just have replaced it.
  co_return std::nullopt;
}

Task<Visit> Devices::sign_in(web::Request request, std::string did, Stay stay, std::string proven_by) {
  const auto cookie = presented(request);
  const Time now = clock_.now();
  const std::string fresh = rng_.token(k_id_bytes), agent = agent_words(request.headers.get("user-agent"));
  const SignedIn account{.did = std::move(did),
                         .proven_at = now,
                         .last_used_at = now,
                         .expires_at = now + (stay == Stay::signed_in ? k_remembered_life : k_this_time_life),
                         .remembered = stay == Stay::signed_in,
                         .proven_by = std::move(proven_by)};
  struct Done {
    std::string id;
    std::int64_t generation;
    bool copied, new_here;
  };
  const Done done = co_await db_.write([&](store::Tx& tx) {
    const auto device = cookie ? devices::find(tx, cookie->id) : std::nullopt;
    const Secrecy secrecy = cookie ? judge(device, cookie->generation, now) : Secrecy::unknown;
    if (secrecy == Secrecy::copied) devices::remove(tx, device->id);
    const bool known = secrecy == Secrecy::newest || secrecy == Secrecy::due || secrecy == Secrecy::previous;
    Done out{known ? device->id : fresh, 1, secrecy == Secrecy::copied, true};
    if (known) {
      devices::rotate(tx, out.id, now);
      out.generation = device->generation + 1;
    } else {
      devices::insert(tx, out.id, now);
    }
    devices::note_sign_in(tx, out.id, agent, now);
    out.new_here = devices::put_account(tx, out.id, request.remote_ip, account, now);
    devices::keep_newest_accounts(tx, out.id, k_max_device_accounts);
    return out;
  });
  if (done.copied) log_copied(cookie->id, request.remote_ip);
  co_return Visit{done.id, cookie_value(done.id, done.generation), done.new_here};
}

Task<std::vector<SignedIn>> Devices::accounts(std::string device) {
  const Time now = clock_.now();
  co_return co_await db_.read([&](store::Tx& tx) { return devices::accounts(tx, device, now); });
}

Task<void> Devices::used(std::string device, std::string did, std::string ip, Note note) {
  const Time now = clock_.now();
  const Time before = note == Note::now ? now : now - k_remembered_renewal;
  // Most uses write nothing, and then no writer is asked.
  const bool due = co_await db_.read([&](store::Tx& tx) {
    return std::ranges::any_of(devices::accounts(tx, device, now),
                               [&](const SignedIn& a) { return a.did == did && a.last_used_at <= before; });
  });
  if (due) co_await db_.write([&](store::Tx& tx) { devices::note_use(tx, device, did, ip, before, now); });
}

Task<bool> Devices::sign_out(std::string device, std::string did) {
  const Time now = clock_.now();
  co_return co_await db_.write([&](store::Tx& tx) { return devices::remove_account(tx, device, did, now); });
}

Task<std::vector<SignedInDevice>> Devices::devices_of(std::string did) {
  const Time now = clock_.now();
  co_return co_await db_.read([&](store::Tx& tx) { return devices::of_account(tx, did, now); });
}

Task<std::size_t> Devices::sign_out_others(std::string did, std::string device) {
  const Time now = clock_.now();
  co_return co_await db_.write(
      [&](store::Tx& tx) { return devices::remove_account_elsewhere(tx, did, device, now); });
}

void Devices::set_cookie(web::Response& response, const Visit& visit) const {
  if (!visit.cookie) return;
  for (const auto& line : response.headers.all("set-cookie"))
    if (line.starts_with(cookie_ + "=")) return;
  web::set_cookie(response, {.name = cookie_,
                             .value = *visit.cookie,
                             .max_age = k_device_cookie_life,
                             .domain = "",
                             .secure = https_});
}

Task<void> Devices::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) { devices::clean(tx, now); });
}

std::vector<pds::Account> devices::behind(store::Tx& tx, const std::vector<SignedIn>& signed_in) {
  std::vector<pds::Account> out;
  for (const auto& one : signed_in)
    if (const auto did = Did::parse(one.did))
      if (auto account = pds::accounts::by_did(tx, *did)) out.push_back(std::move(*account));
  return out;
}

}  // namespace latchkey::signin
