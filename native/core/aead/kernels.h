// The kernels by name, fastest first, whether they run here, and the answer that each must know.
#pragma once

#include "aead.h"

namespace overlay {

struct AeadKernel {
  const char* name;
  // What it needs of processor and process is there.
  bool (*isAvailable)();
  std::unique_ptr<AeadWorker> (*create)();
  // The tag of a message that is sealed already, under a one-time key of 32 bytes: for tests of what no key
  // of theirs would lead to. nullptr where there is no such part.
  void (*makeTag)(const uint8_t* polyKey, const AeadMessage& message, uint8_t* tag);
};

extern const AeadKernel AVX512_KERNEL;
extern const AeadKernel AVX2_KERNEL;
extern const AeadKernel SCALAR_KERNEL;
extern const AeadKernel OPENSSL_KERNEL;

const AeadKernel* const* aeadKernels(size_t& count);
// Whether it seals and opens as RFC 8439 says.
bool knowsAnswer(const AeadKernel& kernel);

}  // namespace overlay
