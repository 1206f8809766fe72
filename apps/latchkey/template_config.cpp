#include "template_config.h"

#include <fmt/format.h>

#include "ui/embedded.h"
#include "web/messages.h"
#include "web/template.h"
#include "web/template_directory.h"

namespace latchkey::app {

std::string read_template_directory(Variables& in) {
  std::string directory = in.text("LATCHKEY_TEMPLATE_DIRECTORY", "");
  if (directory.empty()) return directory;
  try {
    const web::StaticFiles assets(ui::static_files());
    const web::Messages messages(ui::messages());
    web::Templates(ui::templates(), &assets, &messages, web::TemplateDirectory(directory).files());
  } catch (const std::exception& e) {
    in.problem(fmt::format("LATCHKEY_TEMPLATE_DIRECTORY: {}", e.what()));
  }
  return directory;
}

}  // namespace latchkey::app
