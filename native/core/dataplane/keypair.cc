#include "keypair.h"

#include <cstring>

namespace overlay {

void wipe(void* bytes, size_t size) { ::explicit_bzero(bytes, size); }

}  // namespace overlay
