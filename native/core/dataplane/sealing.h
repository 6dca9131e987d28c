// Where transport messages meet the AEAD. The bench builds the data plane once without it, to see what
// everything else costs; no product has that switch.
#pragma once

#include <algorithm>

#include "../aead/aead.h"

namespace overlay {

inline void sealMessages(Aead& aead, const uint8_t* key, AeadMessage* messages, size_t count) {
#ifdef OVERLAY_BENCH_UNSEALED
  (void)aead, (void)key, (void)messages, (void)count;
#else
  aead.sealBatch(key, messages, count);
#endif
}

inline void openMessages(Aead& aead, const uint8_t* key, AeadMessage* messages, size_t count) {
#ifdef OVERLAY_BENCH_UNSEALED
  (void)aead, (void)key;
  std::for_each(messages, messages + count, [](AeadMessage& message) { message.isAuthentic = true; });
#else
  aead.openBatch(key, messages, count);
#endif
}

}  // namespace overlay
