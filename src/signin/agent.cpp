#include "signin/agent.h"

#include <array>

namespace latchkey::signin {
namespace {

struct Word {
  std::string_view sign, word;
};

// Browsers claim to be each other: the particular before what it claims.
constexpr std::array k_browsers{
    Word{"Edg", "Edge"},         Word{"OPR/", "Opera"},     Word{"SamsungBrowser/", "Samsung Internet"},
    Word{"Firefox/", "Firefox"}, Word{"FxiOS/", "Firefox"}, Word{"CriOS/", "Chrome"},
    Word{"Chrome/", "Chrome"},   Word{"Safari/", "Safari"}};
constexpr std::array k_systems{Word{"iPhone", "iPhone"},   Word{"iPad", "iPad"},
                               Word{"Android", "Android"}, Word{"CrOS", "ChromeOS"},
                               Word{"Windows", "Windows"}, Word{"Macintosh", "macOS"},
                               Word{"Linux", "Linux"}};

constexpr std::string_view k_unknown_browser = "A browser";
constexpr std::string_view k_on = " on ";

std::string_view find(const auto& words, std::string_view text) {
  for (const auto& [sign, word] : words)
    if (text.find(sign) != std::string_view::npos) return word;
  return {};
}

}  // namespace

std::string agent_words(std::string_view user_agent) {
  std::string words(find(k_browsers, user_agent));
  if (words.empty()) words = k_unknown_browser;
  if (const auto system = find(k_systems, user_agent); !system.empty()) words.append(k_on).append(system);
  return words;
}

std::string agent_words(const Reader& reader, std::string_view agent) {
  const auto on = agent.find(k_on);
  const auto browser = agent.substr(0, on);
  std::string out = browser == k_unknown_browser ? reader.text("agent.browser") : std::string(browser);
  if (on == std::string_view::npos) return out;
  return reader.text("agent.on", {{"browser", out}, {"system", agent.substr(on + k_on.size())}});
}

}  // namespace latchkey::signin
