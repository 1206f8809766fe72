#pragma once
// Bodies that come packed: Content-Encoding: gzip (RFC 9110 §8.4.1.3, RFC 1952).

#include "web/http.h"

namespace latchkey::web {

/// What the body holds, a bounded piece at a time, however much that is: whoever reads it counts. An error in
/// it, or no end to it, is BodyError::malformed.
Request::Stream gunzip(BodyReader packed);

}  // namespace latchkey::web
