/**
 * A peer's path in the form the ports speak, so that using, comparing and learning it costs no
 * allocation. `Path` objects are made only when something changed and somebody must be told.
 */

import { ipFromBytes } from '../../net/ip.js'
import type { Path, SocketId } from '../../net/path.js'
import type { DatagramHeaders } from '../ports.js'

const ADDRESS_BYTES = 16
const NO_SOCKET: SocketId = -1

export class PackedPath {
  #socket: SocketId = NO_SOCKET
  /** Bytes of an address that count: 4 or 16. */
  #width = 0
  readonly #remote: Uint8Array = new Uint8Array(ADDRESS_BYTES)
  #remotePort = 0
  #remoteScope = 0
  /** All zero: not known. */
  readonly #local: Uint8Array = new Uint8Array(ADDRESS_BYTES)

  get socket(): SocketId {
    return this.#socket
  }

  get isSet(): boolean {
    return this.#socket !== NO_SOCKET
  }

  set(path: Path | undefined): void {
    this.#remote.fill(0)
    this.#local.fill(0)
    this.#socket = path?.socket ?? NO_SOCKET
    if (path === undefined) return
    this.#width = path.remote.address.bytes.length
    this.#remote.set(path.remote.address.bytes)
    this.#remotePort = path.remote.port
    this.#remoteScope = path.remote.scopeId
    if (path.local !== undefined) this.#local.set(path.local.bytes)
  }

  /** Addresses the datagram of slot `i`; its type of service is left alone. */
  writeTo(headers: DatagramHeaders, i: number): void {
    for (let k = 0; k < ADDRESS_BYTES; k++) {
      headers.remote[ADDRESS_BYTES * i + k] = this.#remote[k] as number
      headers.local[ADDRESS_BYTES * i + k] = this.#local[k] as number
    }
    headers.remotePort[i] = this.#remotePort
    headers.remoteScope[i] = this.#remoteScope
  }

  /**
   * After the datagram of slot `i`, received on `socket`, was authenticated. True if the path is now
   * another one. A local address the kernel did not tell is no change.
   */
  learnFrom(socket: SocketId, family: 4 | 6, headers: DatagramHeaders, i: number): boolean {
    const width = family === 4 ? 4 : ADDRESS_BYTES
    if (this.#isSameRemote(socket, width, headers, i) && this.#isSameLocal(headers, i)) return false
    this.#socket = socket
    this.#width = width
    for (let k = 0; k < ADDRESS_BYTES; k++) {
      this.#remote[k] = k < width ? (headers.remote[ADDRESS_BYTES * i + k] as number) : 0
      this.#local[k] = k < width ? (headers.local[ADDRESS_BYTES * i + k] as number) : 0
    }
    this.#remotePort = headers.remotePort[i] as number
    this.#remoteScope = headers.remoteScope[i] as number
    return true
  }

  #isSameRemote(socket: SocketId, width: number, headers: DatagramHeaders, i: number): boolean {
    if (this.#socket !== socket || this.#width !== width) return false
    if (this.#remotePort !== headers.remotePort[i] || this.#remoteScope !== headers.remoteScope[i])
      return false
    for (let k = 0; k < width; k++) {
      if (this.#remote[k] !== headers.remote[ADDRESS_BYTES * i + k]) return false
    }
    return true
  }

  #isSameLocal(headers: DatagramHeaders, i: number): boolean {
    let told = 0
    let difference = 0
    for (let k = 0; k < this.#width; k++) {
      const byte = headers.local[ADDRESS_BYTES * i + k] as number
      told |= byte
      difference |= byte ^ (this.#local[k] as number)
    }
    return told === 0 || difference === 0
  }
}

/** The way back to where the datagram of slot `i` came from. */
export function pathOfDatagram(socket: SocketId, family: 4 | 6, headers: DatagramHeaders, i: number): Path {
  const start = ADDRESS_BYTES * i
  const end = start + (family === 4 ? 4 : ADDRESS_BYTES)
  const local = headers.local.subarray(start, end)
  return {
    socket,
    remote: {
      address: ipFromBytes(headers.remote.subarray(start, end)),
      port: headers.remotePort[i] as number,
      scopeId: headers.remoteScope[i] as number,
    },
    local: local.some((byte) => byte !== 0) ? ipFromBytes(local) : undefined,
  }
}
