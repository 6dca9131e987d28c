/**
 * What the addon's data plane (native/binding/plane-port.h) offers, typed. Native code trusts its
 * arguments: native-data-plane.ts, its only caller, checks them. It knows addresses as bytes.
 */

export interface NativePlaneOptions {
  /** borrowed until stop(): a TUN, or a socket that carries one packet per message. */
  readonly innerFd: number
  /** Whether a socket's packets have virtio headers; a TUN is asked. */
  readonly hasHeaders: boolean
  /** False: one system call per datagram, and no super-packets on the wire side. */
  readonly hasOffloads: boolean
  /** Kernel of the AEAD; empty for the fastest. */
  readonly aead: string
  /** For each direction, at least 1. */
  readonly threads: number
  readonly mtu: number
  /** Peer blocks, shared. */
  readonly blocks: Float64Array
}

interface NativeDatagramAddress {
  readonly socket: number
  readonly remote: Uint8Array
  readonly port: number
  readonly scope: number
  readonly local?: Uint8Array
}

export type NativePlaneEvent =
  | ({ readonly kind: 'datagram'; readonly bytes: Uint8Array } & NativeDatagramAddress)
  | { readonly kind: 'handshakeNeeded'; readonly slot: number }
  | {
      readonly kind: 'keypairConfirmed'
      readonly slot: number
      readonly localIndex: number
      readonly removed: readonly number[]
    }
  | ({
      readonly kind: 'sourceChanged'
      readonly slot: number
      readonly localIndex: number
    } & NativeDatagramAddress)
  | ({
      readonly kind: 'frames'
      readonly bytes: Uint8Array
      readonly segmentBytes: number
      readonly isControl: boolean
    } & NativeDatagramAddress)
  | { readonly kind: 'failed'; readonly errno: string; readonly syscall: string }

/** All calls are synchronous. Slots of the calls that take one, but addPeer, hold a peer. */
export interface NativePlane {
  /** What carries packets, by name. */
  describe(): { readonly aead: string; readonly threads: number; readonly offloads: readonly string[] }
  openSocket(
    family: 4 | 6,
    port: number,
    mark: number,
    address: Uint8Array | undefined,
  ): { socket: number; port: number }
  openFramePort(): number
  deliver(port: number, remote: Uint8Array, remotePort: number, bytes: Uint8Array, segmentBytes: number): void
  closeSocket(socket: number): void
  setMark(mark: number): void
  setMtu(mtu: number): void
  hasPeer(slot: number): boolean
  addPeer(slot: number): void
  removePeer(slot: number): number[]
  /** Entries as native/binding/plane-values.h lays them out. */
  changeAllowedIps(entries: Uint8Array): void
  setPath(slot: number, ...path: [] | NativePath): void
  setRoaming(slot: number, isRoaming: boolean): void
  installKeypair(
    slot: number,
    localIndex: number,
    remoteIndex: number,
    sendKey: Uint8Array,
    receiveKey: Uint8Array,
    isInitiator: boolean,
    createdAtMs: number,
    firstCounter: bigint,
  ): number[]
  removeKeypairs(slot: number): number[]
  sendKeepalive(slot: number): void
  setKeepaliveInterval(slot: number, ms: number): void
  dropStaged(slot: number): void
  sendDatagram(...pathTosAndBytes: [...NativePath, tos: number, bytes: Uint8Array, hops: number]): boolean
  takeEvents(): NativePlaneEvent[]
  /** Whether all that has come in was dealt with: for tests. */
  isIdle(): boolean
  stop(): void
}

export type NativePath = [
  socket: number,
  remote: Uint8Array,
  port: number,
  scope: number,
  local: Uint8Array | undefined,
]

/** What both sides know. */
export interface NativePlaneLayout {
  readonly blockFields: number
  /** Their names in the order of their counters, with spaces between. */
  readonly dropReasons: string
  readonly allowedIpBytes: number
  readonly frameHeadroomBytes: number
  readonly maxStagedPackets: number
  readonly replayWindowCounters: number
  readonly keepaliveTimeoutMs: number
  readonly rekeyAfterTimeMs: number
  readonly rejectAfterTimeMs: number
  readonly rekeyOnReceiveMs: number
  readonly rekeyAfterMessages: bigint
  readonly rejectAfterMessages: bigint
}
