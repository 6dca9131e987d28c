// Borrowed bytes: a pointer and a length, valid as long as their owner. Stands in for C++20's span.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlay {

struct ByteView {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

}  // namespace overlay
