#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::mail {

std::span<const store::Migration> migrations();

}  // namespace latchkey::mail
