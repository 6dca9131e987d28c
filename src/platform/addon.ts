/**
 * The native addon: its typed contract and its loader. Native code trusts its arguments; the files
 * of this room validate them. Every failure is an Error with `errno` (symbolic) and `syscall`, which
 * native-error.ts turns into a PlatformError.
 *
 * INVARIANT: numbers that both sides know are owned by C++ and compared here when the addon loads.
 */

import { createRequire } from 'node:module'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { NativePlane, NativePlaneLayout, NativePlaneOptions } from '../dataplane/native/native-plane.js'
import type { IpAddress } from '../net/ip.js'
import type { Prefix } from '../net/prefix.js'
import type { NetworkEvent } from './link-events.js'
import { NATIVE_FILES_HINT, nativeFile } from './native-files.js'
import type { LinkInfo, Route, RouteAnswer, Rule } from './network.js'

/** Slots are laid out as in src/dataplane/ports.ts. All calls are synchronous. */
export interface NativeTun {
  name(): string
  linkIndex(): number
  fd(): number
  /** Undefined if the interface is gone. */
  place(withAddresses: boolean): NativeTunPlace | undefined
  setWatching(isWatching: boolean): void
  /** Packets read, or an errno name if the interface is gone. */
  readBatch(bytes: Uint8Array, stride: number, headroom: number, lengths: Uint32Array): number | string
  writeBatch(bytes: Uint8Array, stride: number, headroom: number, lengths: Uint32Array, count: number): number
  close(): void
}

interface NativeTunPlace {
  /** Inode; 0 if the kernel does not tell. */
  readonly namespaceId: number
  readonly isAway: boolean
  /** If asked for. */
  readonly addresses: readonly Prefix[]
  readonly link?: LinkInfo
}

export type NativeDatagrams = readonly [
  bytes: Uint8Array,
  stride: number,
  headroom: number,
  lengths: Uint32Array,
  remote: Uint8Array,
  remotePort: Uint16Array,
  remoteScope: Uint32Array,
  local: Uint8Array,
  tos: Uint8Array,
]

export interface NativeUdp {
  port(): number
  setWatching(isWatching: boolean): void
  receiveBatch(...datagrams: NativeDatagrams): number
  sendBatch(...datagrams: [...NativeDatagrams, count: number, hops: number]): number
  setMark(mark: number): void
  close(): void
}

export interface NativeAddon {
  readonly version: number
  readonly addressBytes: number
  bootNowMs(): number
  /** `onReady(0)`: readable. `onReady(errno name)`: gone, called once. A descriptor is owned from the call on. */
  readonly Tun: new (
    nameOrFd: string | number,
    onReady: (status: number | string) => void,
    hasOffloads?: boolean,
  ) => NativeTun
  readonly Udp: new (
    family: 4 | 6,
    port: number,
    mark: number,
    address: Uint8Array | undefined,
    onReady: () => void,
  ) => NativeUdp
  /** `onReady()`: events may wait. */
  readonly Plane: new (
    options: NativePlaneOptions,
    onReady: () => void,
  ) => NativePlane
  /** Names of the AEAD's kernels that run here, fastest first. */
  aeadKernels(): string[]
  readonly planeLayout: NativePlaneLayout
  findLink(nameOrIndex: string | number): LinkInfo | undefined
  listLinks(): LinkInfo[]
  setLinkAlias(index: number, alias: string): void
  setLinkUp(index: number, isUp: boolean): void
  setLinkMtu(index: number, mtu: number): void
  deleteLink(index: number): void
  addAddress(index: number, prefix: Prefix): void
  removeAddress(index: number, prefix: Prefix): void
  addRoute(route: Route, isReplacing: boolean): void
  removeRoute(route: Route): void
  listRoutes(family: 4 | 6, table: number | undefined): Route[]
  /** `mtu` is 0 if the route has none of its own. */
  routeTo(address: IpAddress, mark: number): RouteAnswer | undefined
  addRule(rule: Rule): void
  removeRule(rule: Rule): void
  listRules(family: 4 | 6): Rule[]
  /** `onReady` is called while events wait: read them all. */
  readonly LinkMonitor: new (
    onReady: () => void,
    hasRoutes: boolean,
  ) => { read(): readonly NetworkEvent[]; close(): void }
  openUnixPair(): readonly [number, number]
  listenUnix(path: string): number
  connectUnix(path: string, timeoutMs: number): number
  acceptUnix(listener: number, timeoutMs: number): number
  sendFd(socketFd: number, fd: number): void
  receiveFd(socketFd: number, timeoutMs: number): number
  sendUnixDatagram(path: string, text: string, timeoutMs: number): void
  forbidDumps(): void
}

const ADDON_VERSION = 7 // native/binding/addon.cc
const ADDRESS_BYTES = 16 // native/core/slab.h

function loadAddon(): NativeAddon {
  const path = nativeFile('overlay.node')
  let loaded: NativeAddon
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon
  } catch (cause) {
    throw new AppError(ERROR_CODES.addon, `cannot load the addon ${path}`, {
      hint: NATIVE_FILES_HINT,
      cause,
    })
  }
  if (loaded.version !== ADDON_VERSION || loaded.addressBytes !== ADDRESS_BYTES) {
    throw new AppError(ERROR_CODES.addon, 'addon was built for another version', {
      hint: NATIVE_FILES_HINT,
    })
  }
  return loaded
}

let addon: NativeAddon | undefined

/** Loads the addon on first use, so that commands that need no system call work without it. */
export function nativeAddon(): NativeAddon {
  addon ??= loadAddon()
  return addon
}
