// The tables that packets are looked up in, and what lets threads share them.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <thread>

#include "../core/dataplane/allowed-ips.h"
#include "../core/dataplane/epochs.h"
#include "../core/dataplane/event-queue.h"
#include "../core/dataplane/index-table.h"
#include "../core/dataplane/peer.h"
#include "../core/dataplane/replay-window.h"
#include "../core/dataplane/turn.h"
#include "random.h"
#include "suites.h"

namespace overlay {
namespace {

// --- allowed IPs ---------------------------------------------------------------------------------

struct Prefix {
  int version;
  uint8_t address[16];
  unsigned bits;
  uint32_t slot;
};

bool contains(const Prefix& prefix, int version, const uint8_t* address) {
  if (prefix.version != version) return false;
  for (unsigned bit = 0; bit < prefix.bits; bit++) {
    const uint8_t difference = prefix.address[bit / 8] ^ address[bit / 8];
    if (((difference >> (7 - bit % 8)) & 1) != 0) return false;
  }
  return true;
}

int32_t scan(const std::vector<Prefix>& prefixes, int version, const uint8_t* address) {
  int32_t best = AllowedIps::NONE;
  int bestBits = -1;
  for (const Prefix& prefix : prefixes) {
    // Of equal ones the last counts.
    if (static_cast<int>(prefix.bits) < bestBits || !contains(prefix, version, address)) continue;
    best = static_cast<int32_t>(prefix.slot);
    bestBits = static_cast<int>(prefix.bits);
  }
  return best;
}

// Few distinct bytes, so that prefixes share bits and lie within each other.
void drawAddress(Random& random, uint8_t* address) {
  static constexpr uint8_t BYTES[] = {0, 10, 0x80, 0xff};
  for (size_t i = 0; i < 16; i++) address[i] = BYTES[random.below(4)];
}

void findsTheLongestPrefix() {
  Random random(5);
  for (int round = 0; round < 60; round++) {
    AllowedIps table;
    std::vector<Prefix> prefixes;
    const size_t count = random.below(80);
    for (uint32_t slot = 0; slot < count; slot++) {
      Prefix prefix{random.below(2) == 0 ? 4 : 6, {}, 0, slot};
      drawAddress(random, prefix.address);
      prefix.bits = static_cast<unsigned>(random.below(prefix.version == 4 ? 33 : 129));
      for (unsigned bit = prefix.bits; bit < 128; bit++) {
        prefix.address[bit / 8] &= static_cast<uint8_t>(~(1U << (7 - bit % 8)));
      }
      prefixes.push_back(prefix);
      table.insert(prefix.version, prefix.address, prefix.bits, slot);
    }
    for (int i = 0; i < 300; i++) {
      uint8_t address[16];
      drawAddress(random, address);
      const int version = random.below(2) == 0 ? 4 : 6;
      check(table.lookup(version, address) == scan(prefixes, version, address), "what a linear scan finds");
    }
  }
}

void changesLeaveTheTableBefore() {
  Random random(7);
  auto table = std::make_unique<AllowedIps>();
  std::unique_ptr<AllowedIps> before;
  std::vector<Prefix> prefixes;
  std::vector<Prefix> prefixesBefore;
  for (uint32_t slot = 0; slot < 3000; slot++) {
    if (random.below(10) == 0) {
      before = std::move(table);
      table = before->successor();
      prefixesBefore = prefixes;
    }
    Prefix prefix{random.below(2) == 0 ? 4 : 6, {}, 0, slot};
    if (!prefixes.empty() && random.below(2) == 0) {
      prefix = prefixes[random.below(prefixes.size())];
      table->remove(prefix.version, prefix.address, prefix.bits);
      const auto isSame = [&prefix](const Prefix& other) {
        return other.bits == prefix.bits && contains(other, prefix.version, prefix.address);
      };
      prefixes.erase(std::remove_if(prefixes.begin(), prefixes.end(), isSame), prefixes.end());
    } else {
      drawAddress(random, prefix.address);
      prefix.bits = static_cast<unsigned>(random.below(prefix.version == 4 ? 33 : 129));
      for (unsigned bit = prefix.bits; bit < 128; bit++) {
        prefix.address[bit / 8] &= static_cast<uint8_t>(~(1U << (7 - bit % 8)));
      }
      prefixes.push_back(prefix);
      table->insert(prefix.version, prefix.address, prefix.bits, slot);
    }
    for (int i = 0; i < 10; i++) {
      uint8_t address[16];
      drawAddress(random, address);
      const int version = random.below(2) == 0 ? 4 : 6;
      check(table->lookup(version, address) == scan(prefixes, version, address), "what a linear scan finds");
      check(!before || before->lookup(version, address) == scan(prefixesBefore, version, address), "as it was");
    }
  }
}

// --- replay window -------------------------------------------------------------------------------

void acceptsEveryCounterOnce() {
  Random random(6);
  ReplayWindow window;
  std::set<uint64_t> seen;
  uint64_t newest = 0;
  uint64_t base = 0;
  for (int i = 0; i < 200'000; i++) {
    if (random.below(500) == 0) base += random.below(30'000);
    const uint64_t counter = base + random.below(10'000);
    const bool isFresh = seen.count(counter) == 0 && (counter > newest || newest - counter < REPLAY_WINDOW_COUNTERS);
    check(window.accept(counter) == isFresh, "each counter once, and none behind the window");
    if (!isFresh) continue;
    seen.insert(counter);
    newest = std::max(newest, counter);
  }
  check(window.accept(UINT64_MAX - 1), "a jump to the end");
  check(!window.accept(newest), "nothing from before a jump");
}

// --- receiver indices ----------------------------------------------------------------------------

void findsLiveIndicesOnly() {
  Random random(7);
  Epochs epochs;
  IndexTable table(epochs);
  Peer peer(0);
  std::vector<std::unique_ptr<Keypair>> live;
  for (int i = 0; i < 20'000; i++) {
    if (live.size() < 100 || random.below(2) == 0) {
      KeypairMaterial material;
      do material.localIndex = static_cast<uint32_t>(random.below(5'000));
      while (table.find(material.localIndex) != nullptr);
      live.push_back(std::make_unique<Keypair>(peer, material));
      table.insert(*live.back());
    } else {
      const size_t at = random.below(live.size());
      const uint32_t index = live[at]->material.localIndex;
      table.remove(index);
      check(table.find(index) == nullptr, "a removed index to be gone");
      live.erase(live.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  for (const std::unique_ptr<Keypair>& keypair : live) {
    check(table.find(keypair->material.localIndex) == keypair.get(), "every live index to be found");
  }
  check(table.find(1'000'000) == nullptr, "no index that never was");
}

// --- threads -------------------------------------------------------------------------------------

struct Counted : Retirable {
  explicit Counted(std::atomic<int>& counter) : alive(counter) { alive++; }
  ~Counted() override {
    isDead = true;
    alive--;
  }
  std::atomic<int>& alive;
  std::atomic<bool> isDead{false};
};

void destroysNothingThatIsRead() {
  std::atomic<int> alive{0};
  Epochs epochs;
  std::atomic<Counted*> shared{new Counted(alive)};
  std::atomic<bool> isOver{false};
  std::vector<std::thread> readers;
  for (size_t reader = 0; reader < 3; reader++) {
    readers.emplace_back([&, reader] {
      while (!isOver.load()) {
        epochs.enter(reader);
        const Counted* const seen = shared.load();
        for (int i = 0; i < 20; i++) check(!seen->isDead.load(), "what is read to be alive");
        epochs.leave(reader);
      }
    });
  }
  for (int i = 0; i < 3'000; i++) {
    epochs.retire(std::unique_ptr<Retirable>(shared.exchange(new Counted(alive))));
    if (i % 100 == 0) epochs.synchronize();
  }
  isOver.store(true);
  for (std::thread& reader : readers) reader.join();
  epochs.synchronize();
  check(alive.load() == 1 && !epochs.isAnyInside(), "all but the last to be destroyed");
  delete shared.load();
}

void passesInTheOrderOfTickets() {
  Turn turn;
  std::atomic<uint64_t> tickets{0};
  std::vector<uint64_t> passed;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int k = 0; k < 2'000; k++) {
        const uint64_t ticket = tickets.fetch_add(1);
        turn.waitFor(ticket);
        passed.push_back(ticket);  // ours alone, between waitFor and pass
        turn.pass();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  check(passed.size() == 8'000, "every ticket to pass");
  for (size_t i = 0; i < passed.size(); i++) check(passed[i] == i, "one after the other");
}

// --- events --------------------------------------------------------------------------------------

PlaneEvent datagramOf(size_t bytes) {
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::datagram;
  event.bytes.resize(bytes);
  return event;
}

void boundsWhatWaits() {
  EventQueue queue;
  size_t taken = 0;
  while (queue.tryPushDatagram(datagramOf(100))) taken++;
  check(taken == EventQueue::MAX_DATAGRAMS, "as many as may wait");
  check(queue.take().size() == taken, "all of them");
  taken = 0;
  while (queue.tryPushDatagram(datagramOf(60'000))) taken++;
  check(taken == EventQueue::MAX_DATAGRAM_BYTES / 60'000, "no more bytes than may wait");
  queue.take();
  PlaneEvent source;
  source.kind = PlaneEvent::Kind::sourceChanged;
  for (uint16_t port = 1; port <= 5; port++) {
    source.addresses.remotePort = port;
    queue.pushSource(source);
  }
  const std::vector<PlaneEvent> events = queue.take();
  check(events.size() == 1 && events[0].addresses.remotePort == 5, "the newest source only");
}

void noticesThatNobodyTakes() {
  EventQueue queue;
  check(queue.overdueMs(5'000) == 0, "nothing due");
  queue.probe(1'000);
  queue.probe(3'000);
  check(queue.overdueMs(5'000) == 4'000, "due since the first probe");
  check(queue.take().empty() && queue.overdueMs(6'000) == 0, "a probe to be no event");
}

}  // namespace

std::vector<Test> tableTests() {
  return {
      {"allowed IPs: find what a linear scan finds", findsTheLongestPrefix},
      {"allowed IPs: a change leaves the table before as it was", changesLeaveTheTableBefore},
      {"replay window: accepts every counter once", acceptsEveryCounterOnce},
      {"index table: finds live indices only", findsLiveIndicesOnly},
      {"epochs: destroy nothing that is being read", destroysNothingThatIsRead},
      {"turn: passes in the order of tickets", passesInTheOrderOfTickets},
      {"event queue: bounds what waits", boundsWhatWaits},
      {"event queue: notices that nobody takes", noticesThatNobodyTakes},
  };
}

}  // namespace overlay
