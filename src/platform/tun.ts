/**
 * The TUN interface as an inner port. The interface exists as long as the port is open: close()
 * removes it, and so does the end of the process.
 *
 * INVARIANT: after onGone or close() nothing is read, written or called again.
 */

import { PlatformError } from '../base/errors.js'
import type { InnerPort, Slab } from '../dataplane/ports.js'
import type { Prefix } from '../net/prefix.js'
import { type NativeTun, nativeAddon } from './addon.js'
import { callNative } from './native-error.js'
import { type LinkInfo, setLinkMtu } from './network.js'

/** Where an interface is: anybody may have renamed it, or moved it into another network namespace. */
export interface TunPlace {
  /** As networkNamespace() writes it; empty if the kernel does not tell. */
  readonly namespace: string
  /** Not in the network namespace of this process. */
  readonly isAway: boolean
  /** Undefined where this process may not look. */
  readonly link: LinkInfo | undefined
}

export interface TunPort extends InnerPort {
  /** As it was made. */
  readonly name: string
  /** In the network namespace of this process: as it was made, or as `locate` found it last. */
  readonly linkIndex: number
  /** borrowed: to hand to another process; valid until close(). -1 after it. */
  readonly fd: number
  /** Undefined if the interface is gone. */
  locate(): TunPlace | undefined
  /** Wherever it is; none where this process may not look. */
  addresses(): readonly Prefix[]
  /** Idempotent. Removes the interface if this is its last descriptor. */
  close(): void
}

export interface TunOptions {
  /** At most 15 bytes; `%d` in it stands for the first free number. */
  readonly name: string
  readonly mtu?: number
  /** Super-packets with headers before them, for a native data plane: no batches can be read or written then. */
  readonly hasOffloads?: boolean
}

const MAX_NAME_BYTES = 15 // IFNAMSIZ without the final zero

/** Creates the interface, down and without addresses. Throws PlatformError. */
export function openTun(options: TunOptions): TunPort {
  const { name, mtu, hasOffloads = false } = options
  requireLinkName(name)
  const Tun = nativeAddon().Tun
  const tun = callNative(
    `create interface ${name} from /dev/net/tun`,
    () => new NativeTunPort((onReady) => new Tun(name, onReady, hasOffloads)),
    {
      ENOENT: 'sudo mkdir -p /dev/net && sudo mknod /dev/net/tun c 10 200; then: sudo modprobe tun',
      ENODEV: 'sudo modprobe tun',
      ENXIO: 'sudo modprobe tun',
      EBUSY: `another program has ${name} open: stop it or take another name`,
      EINVAL: `an interface ${name} of another kind exists: take another name, or: sudo ip link delete ${name}`,
    },
  )
  try {
    if (mtu !== undefined) setLinkMtu(tun.linkIndex, mtu)
  } catch (error) {
    tun.close()
    throw error
  }
  return tun
}

/** Takes over the descriptor of an open TUN without packet headers; closes it on failure. Throws PlatformError. */
export function adoptTun(fd: number): TunPort {
  const Tun = nativeAddon().Tun
  return callNative(
    `use descriptor ${fd} as a TUN`,
    () => new NativeTunPort((onReady) => new Tun(fd, onReady)),
    {
      EPROTOTYPE: 'open it with IFF_TUN | IFF_NO_PI',
    },
  )
}

function requireLinkName(name: string): void {
  const isValid = /^[^\s/:]+$/.test(name) && name !== '.' && name !== '..'
  if (isValid && Buffer.byteLength(name) <= MAX_NAME_BYTES) return
  throw new PlatformError(`cannot create interface ${JSON.stringify(name)}: not an interface name`, {
    errno: 'EINVAL',
    syscall: 'TUNSETIFF',
    hint: `use 1 to ${MAX_NAME_BYTES} bytes without spaces, slashes and colons`,
  })
}

class NativeTunPort implements TunPort {
  readonly name: string
  linkIndex: number
  onGone: ((errno: string) => void) | undefined
  readonly #tun: NativeTun
  #onReadable: (() => void) | undefined
  #isOver = false

  constructor(open: (onReady: (status: number | string) => void) => NativeTun) {
    this.#tun = open((status) => this.#handleReady(status))
    this.name = this.#tun.name()
    this.linkIndex = this.#tun.linkIndex()
  }

  get fd(): number {
    return this.#tun.fd()
  }

  get onReadable(): (() => void) | undefined {
    return this.#onReadable
  }

  set onReadable(handler: (() => void) | undefined) {
    this.#onReadable = handler
    if (!this.#isOver) this.#tun.setWatching(handler !== undefined)
  }

  locate(): TunPlace | undefined {
    const place = callNative(`look for interface ${this.name}`, () => this.#tun.place(false))
    if (place === undefined) return undefined
    const { namespaceId, isAway, link } = place
    if (namespaceId === 0) {
      // It may be away, and another one here have its name.
      return { namespace: '', isAway, link: link?.index === this.linkIndex ? link : undefined }
    }
    if (!isAway && link !== undefined) this.linkIndex = link.index
    return { namespace: `net:[${namespaceId}]`, isAway, link }
  }

  addresses(): readonly Prefix[] {
    const what = `list addresses of interface ${this.name}`
    return callNative(what, () => this.#tun.place(true))?.addresses ?? []
  }

  readBatch(slab: Slab): number {
    if (this.#isOver) return 0
    const result = this.#tun.readBatch(slab.bytes, slab.stride, slab.headroom, slab.lengths)
    if (typeof result === 'number') return result
    this.#end(result)
    return 0
  }

  writeBatch(slab: Slab, count: number): number {
    if (this.#isOver) return 0
    return this.#tun.writeBatch(slab.bytes, slab.stride, slab.headroom, slab.lengths, count)
  }

  close(): void {
    this.#isOver = true
    this.#tun.close()
  }

  #handleReady(status: number | string): void {
    if (typeof status === 'string') this.#end(status)
    else this.#onReadable?.()
  }

  #end(errno: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#tun.setWatching(false)
    this.onGone?.(errno)
  }
}
