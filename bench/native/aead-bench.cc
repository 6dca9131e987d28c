// Sealing and opening on one core, by kernel, size and number of messages at a time. Prints MB/s.

#include <dlfcn.h>

#include <cstdio>
#include <vector>

#include "../../native/core/aead/kernels.h"
#include "timing.h"

namespace overlay {
namespace {

using Bytes = std::vector<uint8_t>;

struct Shape {
  uint32_t bytes;
  size_t count;
};

constexpr Shape SHAPES[] = {{64, 1}, {64, 45}, {256, 45}, {1420, 1}, {1420, 4}, {1420, 16}, {1420, 45}, {16'384, 4}};

struct Batch {
  Bytes memory;
  std::vector<AeadMessage> messages;

  explicit Batch(const Shape& shape) : memory(shape.count * (shape.bytes + 32)) {
    for (size_t i = 0; i < shape.count; i++) {
      messages.push_back({memory.data() + i * (shape.bytes + 32) + 16, shape.bytes, false, i});
    }
  }
};

double megabytes(const Shape& shape, double nanoseconds) {
  return static_cast<double>(shape.bytes) * static_cast<double>(shape.count) * 1e3 / nanoseconds;
}

void measure(const AeadKernel& kernel, const Shape& shape, double& seal, double& open) {
  const Bytes key(AEAD_KEY_BYTES, 7);
  const std::unique_ptr<AeadWorker> worker = kernel.create();
  Batch batch(shape);
  const double sealNs =
      nanosecondsPer([&] { worker->sealBatch(key.data(), batch.messages.data(), batch.messages.size()); });
  // What is opened must be sealed first: the difference is the price of opening.
  const double bothNs = nanosecondsPer([&] {
    worker->sealBatch(key.data(), batch.messages.data(), batch.messages.size());
    worker->openBatch(key.data(), batch.messages.data(), batch.messages.size());
  });
  seal = megabytes(shape, sealNs);
  open = megabytes(shape, bothNs - sealNs);
}

}  // namespace
}  // namespace overlay

int main() {
  using namespace overlay;
  ::dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
  size_t count = 0;
  const AeadKernel* const* const kernels = aeadKernels(count);
  std::printf("{");
  bool isFirst = true;
  for (const Shape& shape : SHAPES) {
    for (size_t i = 0; i < count; i++) {
      if (!kernels[i]->isAvailable()) continue;
      double seal = 0;
      double open = 0;
      measure(*kernels[i], shape, seal, open);
      std::printf("%s\"%u B x %zu, %s, MB/s\": {\"seal\": %.0f, \"open\": %.0f}", isFirst ? "" : ", ", shape.bytes,
                  shape.count, kernels[i]->name, seal, open);
      isFirst = false;
    }
  }
  std::printf("}\n");
  return 0;
}
