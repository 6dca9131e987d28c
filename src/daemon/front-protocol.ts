/**
 * What a hub and its front say to each other. The front is a process of its own that listens for the world:
 * it holds the relay, STUN, TLS and the deadlines of strangers, and none of the hub's keys.
 *
 * Both ends are this program, one the child of the other: the form of a message needs no proof.
 */

import type { DirectoryMessage } from '../control/directory.js'
import type { ApiFailure } from './api-failure.js'

export interface FrontPlan {
  readonly port: number
  readonly stunPort: number
  readonly stunAddresses: readonly string[]
  /** Key and certificate of TLS, in PEM. */
  readonly certificate: { readonly key: string; readonly cert: string }
  /** Of the identity of the hub's own relay. */
  readonly relaySeed: Uint8Array
  /** Signs tickets. */
  readonly ticketKey: Uint8Array
  /** Bytes a second that one client of the relay may send; Infinity for no limit. */
  readonly maxBytesPerS: number
  /** Where the hub takes control connections (hub/io/control-channel.ts). */
  readonly controlPath: string
}

export type FrontOrder =
  /** First, and once. */
  | { readonly kind: 'open'; readonly plan: FrontPlan }
  /** Who is in the network: the whole of it before `listen`, then whatever changes. */
  | { readonly kind: 'directory'; readonly message: DirectoryMessage }
  | { readonly kind: 'listen' }
  | { readonly kind: 'report' }
  | { readonly kind: 'stop' }

export interface FrontStatus {
  readonly pid: number
  readonly memoryBytes: number
  /** Seconds of processor time since its start. */
  readonly cpuS: number
  readonly relayClients: number
  readonly counters: Readonly<Record<string, number>>
}

export type FrontMessage =
  /** It listens. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly failure: ApiFailure }
  /** Answers `report`, in order. */
  | { readonly kind: 'status'; readonly status: FrontStatus }
