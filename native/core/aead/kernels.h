// The kernels by name, fastest first, whether they run here, and the answer that each must know.
#pragma once

#include <array>

#include "aead.h"

namespace overlay {

struct AeadKernel {
  const char* name;
  // What it needs of processor and process is there.
  bool (*isAvailable)();
  std::unique_ptr<AeadWorker> (*create)();
};

extern const AeadKernel SCALAR_KERNEL;
extern const AeadKernel OPENSSL_KERNEL;

const AeadKernel* const* aeadKernels(size_t& count);
// Whether it seals and opens as RFC 8439 says.
bool knowsAnswer(const AeadKernel& kernel);

}  // namespace overlay
