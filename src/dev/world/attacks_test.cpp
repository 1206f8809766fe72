#include "dev/world/world.h"
