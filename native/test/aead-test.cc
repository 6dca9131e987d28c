// The scalar kernel against RFC 8439, and every other kernel that runs here against the scalar one.

#include <dlfcn.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "../core/aead/kernels.h"
#include "../core/aead/scalar.h"
#include "random.h"
#include "suites.h"

namespace overlay {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes fromHex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Bytes repeated(const char* byte, size_t count) {
  std::string hex;
  for (size_t i = 0; i < count; i++) hex += byte;
  return fromHex(hex);
}

// --- RFC 8439 ------------------------------------------------------------------------------------

void encryptsTheExample() {
  Bytes key(AEAD_KEY_BYTES);
  for (size_t i = 0; i < key.size(); i++) key[i] = static_cast<uint8_t>(i);
  const char text[] =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would "
      "be it.";
  Bytes bytes(text, text + sizeof(text) - 1);
  // Section 2.4.2: nonce 00:00:00:00:00:00:00:4a:00:00:00:00.
  chachaXor(key.data(), 0x4a000000, 1, bytes.data(), bytes.size());
  const Bytes expected = fromHex(
      "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d624e651"
      "52ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eed"
      "f2785e42874d");
  check(bytes == expected, "the ciphertext of section 2.4.2");
}

void authenticatesTheExamples() {
  struct Example {
    Bytes key;
    Bytes message;
    Bytes tag;
  };
  const std::string zeros(32, '0');
  const std::string quiet = "0000000000000000";
  const Example examples[] = {
      // Section 2.5.2.
      {fromHex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
       fromHex("43727970746f6772617068696320466f72756d2052657365617263682047726f7570"),
       fromHex("a8061dc1305136c6c22b8baf0c0127a9")},
      // Appendix A.3, vectors 1 and 7 to 11.
      {repeated("00", 32), repeated("00", 64), repeated("00", 16)},
      {fromHex("02" + std::string(62, '0')), repeated("ff", 16), fromHex("03" + std::string(30, '0'))},
      {fromHex("02" + std::string(30, '0') + std::string(32, 'f')), fromHex("02" + std::string(30, '0')),
       fromHex("03" + std::string(30, '0'))},
      {fromHex("01" + std::string(62, '0')),
       fromHex(std::string(32, 'f') + "f0" + std::string(30, 'f') + "11" + std::string(30, '0')),
       fromHex("05" + std::string(30, '0'))},
      {fromHex("01" + std::string(62, '0')),
       fromHex(std::string(32, 'f') + "fbfefefefefefefefefefefefefefefe" + "01010101010101010101010101010101"),
       repeated("00", 16)},
      {fromHex("02" + std::string(62, '0')), fromHex("fd" + std::string(30, 'f')),
       fromHex("fa" + std::string(30, 'f'))},
      {fromHex("0100000000000000"
               "0400000000000000" +
               zeros),
       fromHex("e33594d7505e43b9" + quiet +
               "3394d7505e4379cd"
               "0100000000000000" +
               quiet + quiet + "0100000000000000" + quiet),
       fromHex("14000000000000005500000000000000")},
      {fromHex("0100000000000000"
               "0400000000000000" +
               zeros),
       fromHex("e33594d7505e43b9" + quiet +
               "3394d7505e4379cd"
               "0100000000000000" +
               quiet + quiet),
       fromHex("13000000000000000000000000000000")},
  };
  for (const Example& example : examples) {
    Poly1305 poly(example.key.data());
    poly.addLast(example.message.data(), example.message.size());
    Bytes tag(AEAD_TAG_BYTES);
    poly.finish(tag.data());
    check(tag == example.tag, "the tag of the RFC");
  }
}

// --- kernels against the scalar one --------------------------------------------------------------

// Messages right behind each other, with a pattern between them that nobody may touch.
struct Batch {
  static constexpr uint8_t GUARD = 0xa5;
  static constexpr size_t GUARD_BYTES = 7;  // odd, so that nothing is aligned

  Bytes memory;
  std::vector<AeadMessage> messages;

  Batch(Random& random, const std::vector<uint32_t>& lengths, uint64_t firstCounter) {
    size_t total = GUARD_BYTES;
    for (const uint32_t length : lengths) total += length + AEAD_TAG_BYTES + GUARD_BYTES;
    memory.assign(total, GUARD);
    place(lengths, firstCounter);
    for (const AeadMessage& message : messages) random.fill(message.bytes, message.length);
  }
  Batch(const Batch& other) : memory(other.memory), messages(other.messages) {
    for (AeadMessage& message : messages) message.bytes = memory.data() + (message.bytes - other.memory.data());
  }
  Batch& operator=(const Batch&) = delete;

  void place(const std::vector<uint32_t>& lengths, uint64_t firstCounter) {
    size_t at = GUARD_BYTES;
    for (const uint32_t length : lengths) {
      messages.push_back({memory.data() + at, length, false, firstCounter++});
      at += length + AEAD_TAG_BYTES + GUARD_BYTES;
    }
  }
};

std::vector<const AeadKernel*> others() {
  // What node has inside; absent, that kernel is not there either.
  ::dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
  size_t count = 0;
  const AeadKernel* const* const all = aeadKernels(count);
  std::vector<const AeadKernel*> there;
  for (size_t i = 0; i < count; i++) {
    if (all[i] != &SCALAR_KERNEL && all[i]->isAvailable()) there.push_back(all[i]);
  }
  return there;
}

void checkBatch(const AeadKernel& kernel, Random& random, const std::vector<uint32_t>& lengths, uint64_t counter) {
  const Bytes key = random.bytes(AEAD_KEY_BYTES);
  const std::unique_ptr<AeadWorker> worker = kernel.create();
  const std::unique_ptr<AeadWorker> scalar = SCALAR_KERNEL.create();
  const Batch plain(random, lengths, counter);
  Batch expected(plain);
  Batch sealed(plain);
  scalar->sealBatch(key.data(), expected.messages.data(), expected.messages.size());
  worker->sealBatch(key.data(), sealed.messages.data(), sealed.messages.size());
  check(sealed.memory == expected.memory, kernel.name);

  // Every third one is damaged somewhere.
  Batch opened(sealed);
  for (size_t i = 0; i < lengths.size(); i += 3) {
    opened.messages[i].bytes[random.below(lengths[i] + AEAD_TAG_BYTES)] ^= static_cast<uint8_t>(1 << random.below(8));
  }
  const Batch damaged(opened);
  worker->openBatch(key.data(), opened.messages.data(), opened.messages.size());
  for (size_t i = 0; i < lengths.size(); i++) {
    const bool isDamaged = i % 3 == 0;
    check(opened.messages[i].isAuthentic != isDamaged, kernel.name);
    const uint8_t* const wanted = isDamaged ? damaged.messages[i].bytes : plain.messages[i].bytes;
    check(std::memcmp(opened.messages[i].bytes, wanted, lengths[i]) == 0, kernel.name);
  }
  for (size_t i = 0; i < opened.memory.size(); i++) {
    const bool isGuard = plain.memory[i] == Batch::GUARD && sealed.memory[i] == Batch::GUARD;
    if (isGuard && damaged.memory[i] == Batch::GUARD) check(opened.memory[i] == Batch::GUARD, kernel.name);
  }
}

void agreesOnEveryLength() {
  Random random(1);
  for (const AeadKernel* const kernel : others()) {
    for (uint32_t length = 0; length <= 2048; length++) checkBatch(*kernel, random, {length}, random.next());
    for (uint32_t first = 0; first <= 1500; first += 45) {
      std::vector<uint32_t> lengths;
      for (uint32_t i = 0; i < 45; i++) lengths.push_back(first + i);
      checkBatch(*kernel, random, lengths, random.next());
    }
    for (const uint32_t length : {4096U, 9000U, 16'384U, 65'000U, 65'535U}) {
      checkBatch(*kernel, random, {length, length - 1, 60, length - 77}, random.next());
    }
  }
}

void agreesOnBatchesOfAllSizes() {
  Random random(2);
  for (const AeadKernel* const kernel : others()) {
    for (size_t count = 1; count <= 130; count++) {
      std::vector<uint32_t> equal(count, static_cast<uint32_t>(random.below(3) == 0 ? 64 : 1420));
      checkBatch(*kernel, random, equal, random.next());
      std::vector<uint32_t> mixed;
      for (size_t i = 0; i < count; i++)
        mixed.push_back(static_cast<uint32_t>(random.below(random.below(2) == 0 ? 100 : 1500)));
      checkBatch(*kernel, random, mixed, random.next());
    }
  }
}

void agreesAroundCounterLimits() {
  Random random(3);
  for (const AeadKernel* const kernel : others()) {
    for (const uint64_t counter :
         {uint64_t{0}, uint64_t{0xffff'fffa}, uint64_t{0x7fff'ffff'fffa'ffff}, UINT64_MAX - 20}) {
      checkBatch(*kernel, random, std::vector<uint32_t>(20, 130), counter);
    }
  }
}

void doesNothingWithoutMessages() {
  const Bytes key(AEAD_KEY_BYTES);
  for (const AeadKernel* const kernel : others()) {
    const std::unique_ptr<AeadWorker> worker = kernel->create();
    worker->sealBatch(key.data(), nullptr, 0);
    worker->openBatch(key.data(), nullptr, 0);
  }
}

// Sums that reach the modulus, and carries through all limbs: all kinds of extreme keys and messages.
void agreesOnExtremeSums() {
  Random random(4);
  const char* const patterns[] = {"ff", "00", "01", "fe", "80", "7f", "fb"};
  const auto extreme = [&](size_t size) {
    Bytes bytes = repeated(patterns[random.below(7)], size);
    for (size_t changed = random.below(4); changed > 0 && size > 0; changed--) {
      bytes[random.below(size)] = fromHex(patterns[random.below(7)])[0];
    }
    return bytes;
  };
  for (const AeadKernel* const kernel : others()) {
    if (kernel->makeTag == nullptr) continue;
    for (int i = 0; i < 20'000; i++) {
      const Bytes key = extreme(POLY_KEY_BYTES);
      const size_t length = random.below(200);
      Bytes bytes = extreme(length + AEAD_TAG_BYTES);
      const AeadMessage message{bytes.data(), static_cast<uint32_t>(length), false, 0};
      Bytes expected(AEAD_TAG_BYTES);
      Bytes tag(AEAD_TAG_BYTES);
      SCALAR_KERNEL.makeTag(key.data(), message, expected.data());
      kernel->makeTag(key.data(), message, tag.data());
      check(tag == expected, kernel->name);
    }
  }
}

// --- choosing ------------------------------------------------------------------------------------

void choosesByName() {
  size_t count = 0;
  const AeadKernel* const* const all = aeadKernels(count);
  for (size_t i = 0; i < count; i++) {
    Result<AeadChoice> choice = chooseAead(all[i]->name);
    check(choice.ok() == all[i]->isAvailable(), "a kernel that is there to know the answer");
    if (choice.ok()) check(std::string(choice.value().name) == all[i]->name, "the kernel asked for");
  }
  checkOk(chooseAead());
  checkFails(chooseAead("none such"), ENOTSUP);
}

// One that seals nothing, and one that takes everything for authentic.
class BrokenWorker : public AeadWorker {
 public:
  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    scalar_->sealBatch(key, messages, count);
  }
  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    scalar_->openBatch(key, messages, count);
    for (size_t i = 0; i < count; i++) messages[i].isAuthentic = true;
  }

 private:
  std::unique_ptr<AeadWorker> scalar_ = SCALAR_KERNEL.create();
};

class IdleWorker : public AeadWorker {
 public:
  void sealBatch(const uint8_t*, AeadMessage*, size_t) override {}
  void openBatch(const uint8_t*, AeadMessage*, size_t) override {}
};

void findsBrokenKernels() {
  const auto isThere = [] { return true; };
  const AeadKernel broken{"broken", isThere,
                          []() -> std::unique_ptr<AeadWorker> { return std::make_unique<BrokenWorker>(); }, nullptr};
  const AeadKernel idle{"idle", isThere, []() -> std::unique_ptr<AeadWorker> { return std::make_unique<IdleWorker>(); },
                        nullptr};
  check(knowsAnswer(SCALAR_KERNEL), "the scalar kernel to know the answer");
  check(!knowsAnswer(broken), "a kernel that authenticates everything to be found out");
  check(!knowsAnswer(idle), "a kernel that seals nothing to be found out");
}

}  // namespace

std::vector<Test> aeadTests() {
  return {
      {"aead: scalar encrypts the example of RFC 8439", encryptsTheExample},
      {"aead: scalar authenticates the examples of RFC 8439", authenticatesTheExamples},
      {"aead: all kernels agree on every length", agreesOnEveryLength},
      {"aead: all kernels agree on batches of all sizes", agreesOnBatchesOfAllSizes},
      {"aead: all kernels agree around limits of the counter", agreesAroundCounterLimits},
      {"aead: all kernels agree on extreme sums", agreesOnExtremeSums},
      {"aead: a batch without messages is nothing to do", doesNothingWithoutMessages},
      {"aead: a kernel is chosen by name", choosesByName},
      {"aead: a broken kernel is found out", findsBrokenKernels},
  };
}

}  // namespace overlay
