// ChaCha20-Poly1305 (RFC 8439) as WireGuard's transport messages use it, many messages of one key at a
// time: no additional data, and a nonce of four zero bytes and the counter, little-endian.
//
// What does the work is a kernel, chosen once by what the processor can and what a known answer proves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../result.h"

namespace overlay {

constexpr size_t AEAD_KEY_BYTES = 32;
constexpr size_t AEAD_TAG_BYTES = 16;

// `bytes`: plaintext or ciphertext of `length`, worked on in place, and the tag behind it.
struct AeadMessage {
  uint8_t* bytes;
  uint32_t length;
  // Set by openBatch: the tag was right.
  bool isAuthentic;
  uint64_t counter;
};

// The memory and contexts of one thread.
class AeadWorker {
 public:
  virtual ~AeadWorker() = default;
  virtual void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) = 0;
  // What is not authentic stays as it came.
  virtual void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) = 0;
};

struct AeadChoice {
  const char* name = "";
  std::unique_ptr<AeadWorker> (*create)() = nullptr;
};

// The fastest kernel there is.
Result<AeadChoice> chooseAead();
// ENOTSUP if there is none of that name, or not on this machine.
Result<AeadChoice> chooseAead(const std::string& name);

// Names of those that chooseAead would take, fastest first.
std::vector<std::string> usableAeads();

// One per thread.
class Aead {
 public:
  explicit Aead(AeadChoice choice) : worker_(choice.create()) {}

  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) { worker_->sealBatch(key, messages, count); }
  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) { worker_->openBatch(key, messages, count); }

 private:
  std::unique_ptr<AeadWorker> worker_;
};

}  // namespace overlay
