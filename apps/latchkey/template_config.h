#pragma once
// LATCHKEY_TEMPLATE_DIRECTORY: pages and mails of the operator's own, in the place of ours.

#include <string>

#include "variables.h"

namespace latchkey::app {

/// "" when there is none. One whose files cannot be used is a problem.
std::string read_template_directory(Variables& in);

}  // namespace latchkey::app
