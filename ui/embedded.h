#pragma once
// The files of ui/templates and ui/static, compiled in.

#include "web/embedded.h"

namespace latchkey::ui {

web::EmbeddedFiles templates();
web::EmbeddedFiles static_files();

}  // namespace latchkey::ui
