#pragma once
// The files of ui/templates, ui/static and ui/messages, compiled in.

#include "web/embedded.h"

namespace latchkey::ui {

web::EmbeddedFiles templates();
web::EmbeddedFiles static_files();
web::EmbeddedFiles messages();

}  // namespace latchkey::ui
