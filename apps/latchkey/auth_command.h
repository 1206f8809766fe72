#pragma once
// `latchkey auth` and what looks after its database.

#include <string>

#include "environment.h"

namespace latchkey::app {

enum class Apply { no, yes };

/// `file` "": the environment alone. Returns the exit status.
int serve_auth(const std::string& file, const std::function<void()>& wait_for_end);
int check_auth_config(const std::string& file);
int print_auth_config();
/// Shows what the database lacks; with Apply::yes makes it. 0: nothing is missing any more. 1: something is.
int migrate_auth(const std::string& file, Apply apply);

/// The environment of this process.
Environment process_environment();
EnvironmentNames process_environment_names();
int complain(const Problems& problems);

}  // namespace latchkey::app
