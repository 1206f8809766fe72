#pragma once
// Browsers in which accounts stay signed in: the account chooser, prompt=none and the account pages ask here.
//
// A browser holds one cookie, `<id>.<secret>`. The secret is a number and a MAC over id and number under a
// server key, and the row holds the number of the newest: so the database holds no secret, an older one is
// recognised as ours, and an answer lost on its way can be given again (docs/decisions/004). The number rises
// at every sign-in and once a day. The one before stays good for a minute, for requests that were under way;
// but not after a sign-in, or whoever planted a cookie in this browser would be signed in with it. Any older
// one was copied: every sign-in of the device ends. Statements: devices_sql.cpp.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/secret.h"
#include "pds/accounts.h"
#include "store/database.h"
#include "web/http.h"

namespace latchkey::signin {

inline constexpr std::chrono::hours k_device_cookie_life{400 * 24};  // RFC 6265bis §5.5: no more is kept
inline constexpr std::chrono::hours k_device_rotation{24};
inline constexpr std::chrono::seconds k_device_grace{60};
inline constexpr std::chrono::hours k_remembered_life{7 * 24};  // since the last use
inline constexpr std::chrono::hours k_remembered_renewal{24};   // a use is noted at most this often
inline constexpr std::chrono::hours k_this_time_life{1};        // since the sign-in
inline constexpr std::size_t k_max_device_accounts = 10;

enum class Stay { signed_in, this_time };

/// An account in a browser.
struct SignedIn {
  std::string did;
  Time proven_at, last_used_at, expires_at;
  bool remembered;        // else: for the account pages only
  std::string proven_by;  // "email", "passkey", a provider's id, "backup"
};

/// The same from the account's side.
struct SignedInDevice {
  std::string device;
  std::string agent;  // "Firefox on Linux"
  std::string ip;     // at the last use
  Time proven_at, last_used_at;
  bool remembered;
};

/// A request of a browser we know.
struct Visit {
  std::string device;
  std::optional<std::string> cookie;  // its new value
  bool new_here = false;              // of sign_in
};

class Devices {
 public:
  Devices(store::Database& db, const Clock& clock, Rng& rng, Secret<Bytes> key, bool https);

  /// The browser this request comes from. Nothing for one without cookie, with one that is not ours, or with
  /// one too old, whose sign-ins this ends. The answer to the request passes through set_cookie.
  Task<std::optional<Visit>> visit(web::Request request);
  /// Whoever sends this request proved to be `did`. Of more than k_max_device_accounts the one not used for
  /// longest goes. The visit says whether the account was new to this browser.
  Task<Visit> sign_in(web::Request request, std::string did, Stay stay, std::string proven_by);
  /// Who is signed in here, the last used first.
  Task<std::vector<SignedIn>> accounts(std::string device);

  enum class Note {
    daily,  // what happens all the time
    now     // the person chose this account
  };
  /// The account was used: a remembered one stays for another week.
  Task<void> used(std::string device, std::string did, std::string ip, Note note);
  /// False when it was not signed in there.
  Task<bool> sign_out(std::string device, std::string did);

  /// Where an account is signed in, the last used first.
  Task<std::vector<SignedInDevice>> devices_of(std::string did);
  /// Signs the account out everywhere but on this device; "" : everywhere.
  Task<std::size_t> sign_out_others(std::string did, std::string device);

  /// Nothing when the visit brought no new value, or the answer has the one of a later sign-in.
  void set_cookie(web::Response& response, const Visit& visit) const;
  /// Deletes what has expired. Run it now and then.
  Task<void> clean();

 private:
  struct Presented {
    std::string id;
    std::int64_t generation;
  };
  std::optional<Presented> presented(const web::Request& request) const;
  std::string cookie_value(std::string_view id, std::int64_t generation) const;

  store::Database& db_;
  const Clock& clock_;
  Rng& rng_;
  Secret<Bytes> key_;
  bool https_;
  std::string cookie_;
};

namespace devices {

struct Device {
  std::string id;
  std::int64_t generation;
  Time rotated_at, signed_in_at;
};
std::optional<Device> find(store::Tx&, std::string_view id);
void insert(store::Tx&, std::string_view id, Time now);
void rotate(store::Tx&, std::string_view id, Time now);
void note_sign_in(store::Tx&, std::string_view id, std::string_view agent, Time now);
/// With everything that is signed in there.
void remove(store::Tx&, std::string_view id);

/// True when it was not signed in there.
bool put_account(store::Tx&, std::string_view device, std::string_view ip, const SignedIn&, Time now);
void keep_newest_accounts(store::Tx&, std::string_view device, std::size_t count);
std::vector<SignedIn> accounts(store::Tx&, std::string_view device, Time now);
/// When its last use was noted before `before`.
bool note_use(store::Tx&, std::string_view device, std::string_view did, std::string_view ip, Time before,
              Time now);
bool remove_account(store::Tx&, std::string_view device, std::string_view did, Time now);
std::vector<SignedInDevice> of_account(store::Tx&, std::string_view did, Time now);
std::size_t remove_account_elsewhere(store::Tx&, std::string_view did, std::string_view device, Time now);
/// Whether the account was proven in any browser at or after `since`.
bool proven_since(store::Tx&, std::string_view did, Time since);
/// The account was deleted.
void remove_everywhere(store::Tx&, std::string_view did);
void clean(store::Tx&, Time now);

/// The accounts behind the sign-ins, in their order, without those that are gone.
std::vector<pds::Account> behind(store::Tx&, const std::vector<SignedIn>&);

}  // namespace devices
}  // namespace latchkey::signin
