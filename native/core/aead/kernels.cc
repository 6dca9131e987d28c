#include "kernels.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace overlay {
namespace {

constexpr std::array<const AeadKernel*, 4> KERNELS{&AVX512_KERNEL, &AVX2_KERNEL, &OPENSSL_KERNEL, &SCALAR_KERNEL};

bool isUsable(const AeadKernel& kernel) { return kernel.isAvailable() && knowsAnswer(kernel); }

AeadChoice choiceOf(const AeadKernel& kernel) { return {kernel.name, kernel.create}; }

}  // namespace

const AeadKernel* const* aeadKernels(size_t& count) {
  count = KERNELS.size();
  return KERNELS.data();
}

Result<AeadChoice> chooseAead() {
  for (const AeadKernel* const kernel : KERNELS) {
    if (isUsable(*kernel)) return choiceOf(*kernel);
  }
  return Error{ENOTSUP, "chooseAead"};
}

Result<AeadChoice> chooseAead(const std::string& name) {
  for (const AeadKernel* const kernel : KERNELS) {
    if (name == kernel->name && isUsable(*kernel)) return choiceOf(*kernel);
  }
  return Error{ENOTSUP, "chooseAead"};
}

std::vector<std::string> usableAeads() {
  std::vector<std::string> names;
  for (const AeadKernel* const kernel : KERNELS) {
    if (isUsable(*kernel)) names.emplace_back(kernel->name);
  }
  return names;
}

}  // namespace overlay
