/**
 * Tells an inner packet that is one of the plane's own outer datagrams: the route to a peer's endpoint leads into
 * the inner interface. Sealed once more it would come back again, for ever; the kernel's WireGuard answers ELOOP.
 *
 * Known exactly, and not by addresses: who forwards for others sees the same ports and the same far end in packets
 * that are not its own. It is UDP from a port of ours, and either transport data under the receiver index and an
 * already used counter of a keypair that sends, or it begins as one of the last control datagrams did.
 */

import { udpOffsetAt } from '../../net/packet.js'
import { MESSAGE_TRANSPORT, TRANSPORT_HEADER_BYTES } from '../../wireguard/constants.js'
import { readCounterHigh, readCounterLow, readReceiverIndex, readUint32Le } from '../../wireguard/messages.js'
import type { PlaneState } from './plane-state.js'

const UDP_HEADER_BYTES = 8
/** More than go out while one of them makes its way through the kernel. */
const NOTED = 256
/** Of the beginning: it holds a random number in every message that is sent. */
const COMPARED_BYTES = 16

export class OwnDatagrams {
  readonly #plane: PlaneState
  readonly #noted: Uint8Array = new Uint8Array(NOTED * COMPARED_BYTES)
  #next = 0

  constructor(plane: PlaneState) {
    this.#plane = plane
  }

  /** A control datagram is about to be sent. */
  note(datagram: Uint8Array): void {
    const at = this.#next * COMPARED_BYTES
    this.#noted.fill(0, at, at + COMPARED_BYTES)
    this.#noted.set(datagram.subarray(0, COMPARED_BYTES), at)
    this.#next = (this.#next + 1) % NOTED
  }

  /** Whether the packet at `offset` is one of ours. `length`: as its header says. */
  holds(bytes: Uint8Array, offset: number, length: number, version: 4 | 6): boolean {
    const udp = udpOffsetAt(bytes, offset, length, version)
    if (udp === 0) return false
    const port = ((bytes[udp] as number) << 8) | (bytes[udp + 1] as number)
    return this.#isOwnPort(port) && this.#isOwnPayload(bytes, udp + UDP_HEADER_BYTES, offset + length)
  }

  #isOwnPort(port: number): boolean {
    for (const socket of this.#plane.sockets.values()) if (socket.port === port) return true
    return false
  }

  #isOwnPayload(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < 4) return false
    if (readUint32Le(bytes, start) !== MESSAGE_TRANSPORT) return this.#isNoted(bytes, start, end)
    if (end - start < TRANSPORT_HEADER_BYTES) return false
    const index = readReceiverIndex(bytes, start)
    const [high, low] = [readCounterHigh(bytes, start), readCounterLow(bytes, start)]
    return this.#plane.peers.some((peer) => {
      const keypair = peer?.rotation.current
      if (keypair === undefined || keypair.remoteIndex !== index) return false
      return high < keypair.sendHigh || (high === keypair.sendHigh && low < keypair.sendLow)
    })
  }

  #isNoted(bytes: Uint8Array, start: number, end: number): boolean {
    const length = Math.min(end - start, COMPARED_BYTES)
    for (let at = 0; at < this.#noted.length; at += COMPARED_BYTES) {
      let i = 0
      while (i < length && this.#noted[at + i] === bytes[start + i]) i++
      if (i === length) return true
    }
    return false
  }
}
