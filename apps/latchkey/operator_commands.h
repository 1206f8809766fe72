#pragma once
// What an operator runs beside the server.

#include <string>

#include "config.h"

namespace latchkey::app {

/// Sends a test mail and prints what happened, step by step, and what DNS says about its sender. 0: all is
/// well, 1: something is wrong.
int mail_test(const ServeConfig& config, const std::string& address);

/// Writes the embedded templates into a folder, as something to change. Files that are there already stay as
/// they are. 0: done, 1: a file was kept that differs.
int export_templates(const std::string& directory);

}  // namespace latchkey::app
