/**
 * What is said over the local API (/run/overlay/<interface>.sock): HTTP/1.1, bodies in JSON.
 *
 * | request | answer |
 * | GET /v1/status | InterfaceStatus |
 * | POST /v1/reload | ReloadResult |
 * | POST /v1/stop | StopResult, when everything is undone |
 *
 * A failed request answers with ApiFailure. Fields are only ever added.
 */

import { z } from 'zod'
import type { PeerState } from '../wireguard/configuration.js'
import type { ApiFailure } from './api-failure.js'
import type { CarriedTotals } from './device-counters.js'

export interface PeerStatus {
  /** Base64. */
  readonly publicKey: string
  /** Name from the file, or null. */
  readonly name: string | null
  /** `address:port` that datagrams are sent to, or null. */
  readonly endpoint: string | null
  readonly allowedIps: readonly string[]
  readonly state: PeerState
  /** The state in words, for people. */
  readonly summary: string
  /** RFC 3339, or null for never. */
  readonly lastHandshakeAt: string | null
  /** Whole seconds, or null for never. */
  readonly lastHandshakeAgeS: number | null
  readonly rxBytes: number
  readonly txBytes: number
  /** 0 is off. */
  readonly persistentKeepaliveS: number
  readonly hasPresharedKey: boolean
}

export interface InterfaceStatus {
  readonly interface: string
  /** `tunnel`: brought up from a file. `device`: interface and UAPI socket only. */
  readonly mode: 'tunnel' | 'device'
  readonly state: 'starting' | 'running' | 'stopping'
  readonly pid: number
  readonly version: string
  /** Null in mode `device`. */
  readonly configFile: string | null
  /** Null where the log goes to the standard error. */
  readonly logFile: string | null
  /** Base64, or null if no private key is set. */
  readonly publicKey: string | null
  readonly listenPort: number
  readonly fwmark: number
  readonly mtu: number
  readonly isUp: boolean
  readonly addresses: readonly string[]
  readonly peers: readonly PeerStatus[]
  /** Packets and datagrams dropped since start, by reason. */
  readonly drops: Readonly<Record<string, number>>
  /** Transport messages since start, of all peers. */
  readonly carried: CarriedTotals
  /** What carries packets, in words; null before it is there. */
  readonly dataPlane: string | null
}

export interface ReloadResult {
  /** Peers added, removed or changed. */
  readonly changedPeers: number
  /** Changes made to the host: addresses, routes, rules, DNS. */
  readonly systemChanges: number
}

export interface StopResult {
  /** What could not be undone, in words; empty if all was. */
  readonly faults: readonly string[]
}

/** What `overlay status --json` prints. */
export interface StatusReport {
  readonly interfaces: readonly InterfaceStatus[]
  /** Interfaces whose daemon died and left something behind. */
  readonly crashed: readonly { readonly interface: string; readonly hint: string }[]
  /** Interfaces of which nothing can be learnt: the daemon gives no answer, or its journal cannot be read. */
  readonly unresponsive: readonly { readonly interface: string; readonly message: string }[]
}

const count = z.number().min(0)

const peerStatus: z.ZodType<PeerStatus> = z.object({
  publicKey: z.string(),
  name: z.string().nullable(),
  endpoint: z.string().nullable(),
  allowedIps: z.array(z.string()),
  state: z.enum(['idle', 'handshaking', 'connected', 'unreachable']),
  summary: z.string(),
  lastHandshakeAt: z.string().nullable(),
  lastHandshakeAgeS: z.number().nullable(),
  rxBytes: count,
  txBytes: count,
  persistentKeepaliveS: count,
  hasPresharedKey: z.boolean(),
})

export const interfaceStatus: z.ZodType<InterfaceStatus> = z.object({
  interface: z.string(),
  mode: z.enum(['tunnel', 'device']),
  state: z.enum(['starting', 'running', 'stopping']),
  pid: count,
  version: z.string(),
  configFile: z.string().nullable(),
  logFile: z.string().nullable(),
  publicKey: z.string().nullable(),
  listenPort: count,
  fwmark: count,
  mtu: count,
  isUp: z.boolean(),
  addresses: z.array(z.string()),
  peers: z.array(peerStatus),
  drops: z.record(z.string(), count),
  carried: z.object({ rxBytes: count, rxMessages: count, txBytes: count, txMessages: count }),
  dataPlane: z.string().nullable(),
})

export const reloadResult: z.ZodType<ReloadResult> = z.object({ changedPeers: count, systemChanges: count })

export const stopResult: z.ZodType<StopResult> = z.object({ faults: z.array(z.string()) })

export const apiFailure: z.ZodType<ApiFailure> = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    issues: z
      .array(z.object({ file: z.string(), line: count, message: z.string(), hint: z.string() }))
      .optional(),
  }),
})
