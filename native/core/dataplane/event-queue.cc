#include "event-queue.h"

#include <utility>

#include "../boot-clock.h"

namespace overlay {

void EventQueue::push(PlaneEvent event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  append(std::move(event));
}

bool EventQueue::tryPushDatagram(PlaneEvent event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t bytes = event.bytes.size();
  if (datagrams_ == MAX_DATAGRAMS || datagramBytes_ + bytes > MAX_DATAGRAM_BYTES) return false;
  datagrams_++;
  datagramBytes_ += bytes;
  append(std::move(event));
  return true;
}

std::vector<EventQueue::DroppedFrames> EventQueue::pushFrames(PlaneEvent event) {
  std::vector<DroppedFrames> dropped;
  const std::lock_guard<std::mutex> lock(mutex_);
  frameBytes_ += event.bytes.size();
  while (frameBytes_ > MAX_FRAME_BYTES && !frames_.empty()) {
    frameBytes_ -= frames_.front().bytes.size();
    dropped.push_back({frames_.front().slot, frames_.front().messages});
    frames_.pop_front();
  }
  frames_.push_back(std::move(event));
  ask(bootNowMs());
  return dropped;
}

void EventQueue::pushSource(PlaneEvent event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (PlaneEvent& waiting : events_) {
    if (waiting.kind != event.kind || waiting.slot != event.slot) continue;
    waiting = std::move(event);
    return;
  }
  append(std::move(event));
}

std::vector<PlaneEvent> EventQueue::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  datagrams_ = 0;
  datagramBytes_ = 0;
  dueSinceMs_ = 0;
  wakeUp_.reset();
  std::vector<PlaneEvent> taken = std::exchange(events_, {});
  for (PlaneEvent& frame : frames_) taken.push_back(std::move(frame));
  frames_.clear();
  frameBytes_ = 0;
  return taken;
}

void EventQueue::probe(double nowMs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ask(nowMs);
}

double EventQueue::overdueMs(double nowMs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return dueSinceMs_ == 0 ? 0 : nowMs - dueSinceMs_;
}

void EventQueue::append(PlaneEvent event) {
  events_.push_back(std::move(event));
  ask(bootNowMs());
}

void EventQueue::ask(double nowMs) {
  if (dueSinceMs_ != 0) return;
  dueSinceMs_ = nowMs;
  wakeUp_.wake();
}

}  // namespace overlay
