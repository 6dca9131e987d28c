/**
 * A delay on the way, where the kernel offers none: all packets of a namespace are led through a TUN, held
 * here for a while and put back. Their order stays.
 */

import type { Slab } from '../dataplane/ports.js'
import { openTun, type TunPort } from '../platform/tun.js'

export interface DelayLine {
  readonly name: string
  stop(): void
}

/** `lossPercent`: of packets, at random. */
export function startDelayLine(name: string, delayMs: number, lossPercent: number): DelayLine {
  const tun = openTun({ name, mtu: 1500 })
  const line = new Line(tun, delayMs, lossPercent / 100)
  return { name: tun.name, stop: () => line.stop() }
}

interface Held {
  readonly dueMs: number
  readonly packet: Uint8Array
}

const BATCH = 64
const MAX_PACKET_BYTES = 1600
const MAX_HELD = 50_000

class Line {
  readonly #tun: TunPort
  readonly #delayMs: number
  readonly #loss: number
  readonly #incoming: Slab = createSlab()
  readonly #outgoing: Slab = createSlab()
  #held: Held[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(tun: TunPort, delayMs: number, loss: number) {
    this.#tun = tun
    this.#delayMs = delayMs
    this.#loss = loss
    tun.onReadable = () => this.#read()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#tun.close()
  }

  #read(): void {
    const { bytes, stride, lengths } = this.#incoming
    const dueMs = performance.now() + this.#delayMs
    const count = this.#tun.readBatch(this.#incoming)
    for (let slot = 0; slot < count; slot++) {
      if (this.#held.length >= MAX_HELD || Math.random() < this.#loss) continue
      const start = slot * stride
      this.#held.push({ dueMs, packet: bytes.slice(start, start + (lengths[slot] ?? 0)) })
    }
    this.#arm()
  }

  #arm(): void {
    const [first] = this.#held
    if (first === undefined || this.#timer !== undefined) return
    const waitMs = Math.max(0, first.dueMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#release()
    }, waitMs)
  }

  #release(): void {
    const nowMs = performance.now() + 0.5
    let due = this.#held.findIndex((held) => held.dueMs > nowMs)
    if (due < 0) due = this.#held.length
    const ready = this.#held.splice(0, due)
    const { bytes, stride, lengths } = this.#outgoing
    for (let at = 0; at < ready.length; at += BATCH) {
      const batch = ready.slice(at, at + BATCH)
      for (const [slot, { packet }] of batch.entries()) {
        bytes.set(packet, slot * stride)
        lengths[slot] = packet.length
      }
      this.#tun.writeBatch(this.#outgoing, batch.length)
    }
    this.#arm()
  }
}

function createSlab(): Slab {
  return {
    bytes: new Uint8Array(BATCH * MAX_PACKET_BYTES),
    stride: MAX_PACKET_BYTES,
    slots: BATCH,
    headroom: 0,
    lengths: new Uint32Array(BATCH),
  }
}
