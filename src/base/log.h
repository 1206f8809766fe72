#pragma once
// Lines of JSON on stderr. Never log tokens, codes, keys or whole e-mail addresses (redact_email).

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace latchkey::log {

enum class Level { debug, info, warn, error, off };
using Field = std::pair<std::string_view, std::string>;

void set_level(Level);
void write(Level, std::string_view message, std::vector<Field> fields = {});
inline void info(std::string_view m, std::vector<Field> f = {}) { write(Level::info, m, std::move(f)); }
inline void warn(std::string_view m, std::vector<Field> f = {}) { write(Level::warn, m, std::move(f)); }
inline void error(std::string_view m, std::vector<Field> f = {}) { write(Level::error, m, std::move(f)); }
inline void debug(std::string_view m, std::vector<Field> f = {}) { write(Level::debug, m, std::move(f)); }

std::string redact_email(std::string_view);  // al***@example.com

}  // namespace latchkey::log
