#pragma once
// Where else people may sign in, as pages show it.

#include <memory>
#include <string>
#include <vector>

#include "auth/plugins/social/provider.h"
#include "base/json.h"

namespace latchkey::signin {

struct ProviderButton {
  std::string id;                   // in URLs
  std::string label;                // for people
  std::string account_provider_id;  // in the rows of linked identities

  json::Object view() const {
    return {{"provider_id", id},
            {"provider_label", label},
            {"provider_google", id == "google"},
            {"provider_github", id == "github"}};
  }
};

inline std::vector<ProviderButton> buttons_of(
    const std::vector<std::shared_ptr<auth::SocialProvider>>& providers) {
  std::vector<ProviderButton> out;
  for (const auto& provider : providers) {
    const auto& it = provider->description();
    out.push_back({it.id, it.label, it.account_provider_id});
  }
  return out;
}

}  // namespace latchkey::signin
