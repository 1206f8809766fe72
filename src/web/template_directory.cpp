#include "web/template_directory.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace latchkey::web {

TemplateDirectory::TemplateDirectory(const std::string& path) {
  constexpr std::uintmax_t k_max_file = 256 << 10;
  if (path.empty()) return;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || (!name.ends_with(".html") && !name.ends_with(".txt"))) continue;
    const std::string origin = entry.path().string();
    if (!entry.is_regular_file() || entry.file_size() > k_max_file)
      throw std::runtime_error(fmt::format("template {} is no file of at most 256 KiB", origin));
    std::ifstream in(entry.path(), std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    if (!in.good() && !in.eof()) throw std::runtime_error(fmt::format("template {} cannot be read", origin));
    const auto& kept = texts_.emplace_back(Text{name, origin, std::move(text)});
    files_.push_back({kept.name, as_bytes(kept.text), kept.origin});
  }
}

}  // namespace latchkey::web
