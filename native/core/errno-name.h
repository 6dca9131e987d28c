// Symbolic names of errno values: stable texts that programs match on, unlike strerror's sentences.
#pragma once

namespace overlay {

// `EPERM` and the like; `EUNKNOWN` for a number this file does not list.
const char* errnoName(int code);

}  // namespace overlay
