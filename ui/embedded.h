#pragma once
// The files of ui/templates, ui/static, ui/messages and ui/config, compiled in.

#include "web/embedded.h"

namespace latchkey::ui {

web::EmbeddedFiles templates();
web::EmbeddedFiles static_files();
web::EmbeddedFiles messages();
web::EmbeddedFiles config_files();

}  // namespace latchkey::ui
