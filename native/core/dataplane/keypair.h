// Transport keys of one handshake, and the three of them a peer may have (paper sections 5.4.6, 6). The
// twin of src/wireguard/keypair.ts, with the same rules of rotation:
//
//   install, as initiator   next? previous = next, current falls out : previous = current; current = new
//   install, as responder   next = new; the old next and previous fall out
//   confirm                 previous = current, current = next: the initiator has proven its keys
//
// INVARIANT: the counter is taken by one thread at a time (the outbound reading turn), the window moved by
// one thread at a time (the inbound finishing turn). Keys are wiped when the last reader has let go.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "../aead/aead.h"
#include "epochs.h"
#include "replay-window.h"

namespace overlay {

class Peer;

void wipe(void* bytes, size_t size);

// Every copy wipes its keys when it goes.
struct KeypairMaterial {
  KeypairMaterial() = default;
  KeypairMaterial(const KeypairMaterial&) = default;
  KeypairMaterial& operator=(const KeypairMaterial&) = default;
  ~KeypairMaterial() {
    wipe(sendKey.data(), sendKey.size());
    wipe(receiveKey.data(), receiveKey.size());
  }

  uint32_t localIndex = 0;
  uint32_t remoteIndex = 0;
  std::array<uint8_t, AEAD_KEY_BYTES> sendKey{};
  std::array<uint8_t, AEAD_KEY_BYTES> receiveKey{};
  bool isInitiator = false;
  // Boot clock.
  double createdAtMs = 0;
  uint64_t firstCounter = 0;
};

struct Keypair : Retirable {
  Keypair(Peer& owner, const KeypairMaterial& from) : peer(&owner), material(from), nextCounter(from.firstCounter) {}

  // Too old to send or to receive.
  bool isExpired(double nowMs) const { return nowMs - material.createdAtMs >= REJECT_AFTER_TIME_MS; }
  bool canSend(double nowMs) const {
    return !isExpired(nowMs) && nextCounter.load(std::memory_order_relaxed) < REJECT_AFTER_MESSAGES;
  }
  // Whether so many messages may still be sent.
  bool hasCounters(size_t count) const {
    return count <= REJECT_AFTER_MESSAGES - nextCounter.load(std::memory_order_relaxed);
  }
  // Ask after a message was sent: the counter, or an initiator's age, calls for a new handshake.
  bool isRenewalDueOnSend(double nowMs) const {
    if (material.isInitiator && nowMs - material.createdAtMs >= REKEY_AFTER_TIME_MS) return true;
    return nextCounter.load(std::memory_order_relaxed) > REKEY_AFTER_MESSAGES;
  }
  // Ask after a message was received: an answer under this keypair might come too late for it.
  bool isRenewalDueOnReceive(double nowMs) const {
    return material.isInitiator && nowMs - material.createdAtMs >= REKEY_ON_RECEIVE_MS;
  }

  Peer* const peer;
  KeypairMaterial material;
  std::atomic<uint64_t> nextCounter;
  ReplayWindow window;
};

// Those that fell out, oldest place first.
struct Fallen {
  std::array<Keypair*, 3> keypairs{};
  size_t count = 0;
};

class KeypairRotation {
 public:
  // The one to send under; it may have expired.
  Keypair* current() const { return current_.load(); }
  // A responder's, unusable for sending until the initiator has used it.
  Keypair* next() const { return next_.load(); }

  // Writers hold the data plane's lock. They forget and retire what fell out.
  Fallen install(Keypair& keypair) {
    if (!keypair.material.isInitiator) return keep(nullptr, current(), &keypair);
    return keep(next() != nullptr ? next() : current(), &keypair, nullptr);
  }
  Fallen confirmNext() { return keep(current(), next(), nullptr); }
  Fallen clear() { return keep(nullptr, nullptr, nullptr); }

 private:
  Fallen keep(Keypair* previous, Keypair* current, Keypair* next) {
    const std::array<Keypair*, 3> before{previous_, current_.load(), next_.load()};
    previous_ = previous;
    current_.store(current);
    next_.store(next);
    Fallen fallen;
    for (Keypair* const keypair : before) {
      if (keypair == nullptr || keypair == previous || keypair == current || keypair == next) continue;
      fallen.keypairs[fallen.count++] = keypair;
    }
    return fallen;
  }

  Keypair* previous_ = nullptr;
  std::atomic<Keypair*> current_{nullptr};
  std::atomic<Keypair*> next_{nullptr};
};

}  // namespace overlay
