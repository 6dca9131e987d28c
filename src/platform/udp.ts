/**
 * One UDP socket as an outer port. Answers leave from the address the question came to, and the
 * TOS or traffic class byte goes with each datagram. Without a handler, nothing is watched.
 */

import type { OuterSocketOptions } from '../dataplane/contract.js'
import type { DatagramHeaders, OpenOuterPort, OuterPort, Slab } from '../dataplane/ports.js'
import { formatIp } from '../net/ip.js'
import { type NativeDatagrams, type NativeUdp, nativeAddon } from './addon.js'
import { callNative } from './native-error.js'

export const openUdp: OpenOuterPort = (options) => new NativeUdpPort(options)

class NativeUdpPort implements OuterPort {
  readonly family: 4 | 6
  readonly port: number
  readonly #udp: NativeUdp
  #onReadable: (() => void) | undefined

  constructor(options: OuterSocketOptions) {
    const Udp = nativeAddon().Udp
    this.family = options.family
    this.#udp = callForSocket(
      options,
      ({ family, port, mark, address }) =>
        new Udp(family, port, mark, address?.bytes, () => this.#onReadable?.()),
    )
    this.port = this.#udp.port()
  }

  get onReadable(): (() => void) | undefined {
    return this.#onReadable
  }

  set onReadable(handler: (() => void) | undefined) {
    this.#onReadable = handler
    this.#udp.setWatching(handler !== undefined)
  }

  receiveBatch(slab: Slab, headers: DatagramHeaders): number {
    return this.#udp.receiveBatch(...nativeDatagrams(slab, headers))
  }

  sendBatch(slab: Slab, headers: DatagramHeaders, count: number, hops = 0): number {
    return this.#udp.sendBatch(...nativeDatagrams(slab, headers), count, hops)
  }

  setMark(mark: number): void {
    callNative(`set mark ${mark} on UDP port ${this.port}`, () => this.#udp.setMark(mark))
  }

  close(): void {
    this.#onReadable = undefined
    this.#udp.close()
  }
}

/** Calls the addon to open a socket. Throws PlatformError. */
export function callForSocket<T>(options: OuterSocketOptions, open: (options: OuterSocketOptions) => T): T {
  const { family, port } = options
  return callNative(`open UDP port ${describe(options)}`, () => open(options), {
    EADDRINUSE: `another program uses port ${port}: stop it or take another port`,
    EADDRNOTAVAIL: 'no interface of this machine has that address',
    EAFNOSUPPORT: `this machine has no IPv${family}`,
  })
}

function describe(options: OuterSocketOptions): string {
  const { family, port, address } = options
  const host = address === undefined ? `any IPv${family} address` : formatIp(address)
  const chosen = port === 0 ? 'chosen by the kernel' : String(port)
  return options.mark === 0 ? `${chosen} on ${host}` : `${chosen} on ${host} with mark ${options.mark}`
}

function nativeDatagrams(slab: Slab, headers: DatagramHeaders): NativeDatagrams {
  return [
    slab.bytes,
    slab.stride,
    slab.headroom,
    slab.lengths,
    headers.remote,
    headers.remotePort,
    headers.remoteScope,
    headers.local,
    headers.tos,
  ]
}
