// OpenSSL's ChaCha20-Poly1305: that of the node binary this runs in, found by name, because an addon may
// not link another one. Absent in a runtime that hides or lacks it.

#include <dlfcn.h>

#include <cstring>

#include "kernels.h"
#include "scalar.h"

namespace overlay {
namespace {

// openssl/evp.h
struct Context;
struct Cipher;
constexpr int SET_TAG = 0x11;
constexpr int GET_TAG = 0x10;
constexpr size_t NONCE_BYTES = 12;

struct Functions {
  Context* (*newContext)();
  void (*freeContext)(Context*);
  const Cipher* (*cipher)();
  int (*init)(Context*, const Cipher*, void*, const uint8_t* key, const uint8_t* nonce, int isSealing);
  int (*update)(Context*, uint8_t* to, int* size, const uint8_t* from, int fromSize);
  int (*finish)(Context*, uint8_t* to, int* size);
  int (*control)(Context*, int type, int size, void* value);

  bool isWhole() const {
    return newContext != nullptr && freeContext != nullptr && cipher != nullptr && init != nullptr &&
           update != nullptr && finish != nullptr && control != nullptr;
  }
};

template <typename T>
void find(T& function, const char* name) {
  function = reinterpret_cast<T>(::dlsym(RTLD_DEFAULT, name));
}

const Functions& functions() {
  static const Functions found = [] {
    Functions all{};
    find(all.newContext, "EVP_CIPHER_CTX_new");
    find(all.freeContext, "EVP_CIPHER_CTX_free");
    find(all.cipher, "EVP_chacha20_poly1305");
    find(all.init, "EVP_CipherInit_ex");
    find(all.update, "EVP_CipherUpdate");
    find(all.finish, "EVP_CipherFinal_ex");
    find(all.control, "EVP_CIPHER_CTX_ctrl");
    return all;
  }();
  return found;
}

// One context for each way. The key is set once per batch, the nonce per message.
class OpensslWorker final : public AeadWorker {
 public:
  OpensslWorker() : sealing_(functions().newContext()), opening_(functions().newContext()) {}
  ~OpensslWorker() override {
    functions().freeContext(sealing_);
    functions().freeContext(opening_);
  }

  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    begin(sealing_, key, 1);
    for (size_t i = 0; i < count; i++) {
      const AeadMessage& message = messages[i];
      uint8_t* const tag = message.bytes + message.length;
      const bool isSealed =
          run(sealing_, message, 1) && functions().control(sealing_, GET_TAG, AEAD_TAG_BYTES, tag) == 1;
      // Never plaintext on the wire, whatever has failed.
      if (!isSealed) std::memset(message.bytes, 0, message.length + AEAD_TAG_BYTES);
    }
  }

  // The tag decides after the bytes were changed: they are changed back then.
  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    begin(opening_, key, 0);
    for (size_t i = 0; i < count; i++) {
      AeadMessage& message = messages[i];
      message.isAuthentic = run(opening_, message, 0);
      if (!message.isAuthentic) chachaXor(key, message.counter, 1, message.bytes, message.length);
    }
  }

 private:
  static void begin(Context* context, const uint8_t* key, int isSealing) {
    functions().init(context, functions().cipher(), nullptr, key, nullptr, isSealing);
  }

  static bool run(Context* context, const AeadMessage& message, int isSealing) {
    const Functions& evp = functions();
    uint8_t nonce[NONCE_BYTES] = {};
    for (size_t i = 0; i < sizeof(message.counter); i++) {
      nonce[4 + i] = static_cast<uint8_t>(message.counter >> (8 * i));
    }
    uint8_t* const bytes = message.bytes;
    int size = 0;
    if (evp.init(context, nullptr, nullptr, nullptr, nonce, isSealing) != 1) return false;
    if (isSealing == 0 && evp.control(context, SET_TAG, AEAD_TAG_BYTES, bytes + message.length) != 1) return false;
    if (evp.update(context, bytes, &size, bytes, static_cast<int>(message.length)) != 1) return false;
    return evp.finish(context, bytes + message.length, &size) == 1;
  }

  Context* const sealing_;
  Context* const opening_;
};

}  // namespace

const AeadKernel OPENSSL_KERNEL{
    "openssl",
    [] { return functions().isWhole(); },
    []() -> std::unique_ptr<AeadWorker> { return std::make_unique<OpensslWorker>(); },
    nullptr,
};

}  // namespace overlay
