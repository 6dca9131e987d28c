/**
 * What is said over the local API (/run/overlay/<interface>.sock): HTTP/1.1, bodies in JSON.
 *
 * | request | answer |
 * | GET /v1/status | InterfaceStatus |
 * | POST /v1/reload | ReloadResult |
 * | POST /v1/stop | StopResult, when everything is undone |
 * | GET /v1/why | WhyReport of every node of the network, and every peer of the file |
 * | GET /v1/trust | TrustReport: who waits for a person's word, who has it |
 * | POST /v1/trust | TrustEntry, when what a TrustOrder says of a node is done |
 *
 * A failed request answers with ApiFailure. Fields are only ever added.
 */

import { z } from 'zod'
import { PATH_KINDS, type PathKind } from '../paths/candidates.js'
import { MAPPINGS } from '../paths/disco.js'
import type { Mapping } from '../paths/nat.js'
import { WHY_CODES, WHY_NOTES, type WhyCode, type WhyNote } from '../paths/path-record.js'
import type { PeerState } from '../wireguard/configuration.js'
import type { ApiFailure } from './api-failure.js'
import type { CarriedTotals } from './device-counters.js'

/** How a node of a network is reached. */
export interface PathStatus {
  readonly kind: PathKind
  /** Round trip of probes in ms, or null if not known. */
  readonly rttMs: number | null
  /** Of probes, 0 to 1. */
  readonly loss: number
  /** For so many seconds, whole. */
  readonly sinceS: number
  readonly isOnline: boolean
}

export interface RelaySummary {
  readonly host: string
  readonly port: number
  readonly isConnected: boolean
  readonly isHome: boolean
  /** How it got through; empty while it is not connected. */
  readonly way: string
  readonly rttMs: number | null
  /** Mbit/s that it lets this node send; null for no limit, or while it is not connected. */
  readonly limitMbitS: number | null
  /** Messages that were over that limit, and dropped. */
  readonly overLimit: number
  /** Why it is not connected; empty if it is. */
  readonly fault: string
}

export interface NetworkStatus {
  readonly name: string
  /** Of this node. */
  readonly node: string
  readonly hub: 'connecting' | 'connected' | 'waiting' | 'broken'
  /** How it got through, or why it did not. */
  readonly hubDetail: string
  /** RFC 3339: when this node was put out of the network; null if it was not. */
  readonly removedAt: string | null
  readonly mapping: Mapping
  /** As whom STUN servers see this node. */
  readonly seenAs: readonly string[]
  /** For how long this node's NAT keeps an idle mapping at least, whole seconds; null if that is not known. */
  readonly mappingLifetimeS: number | null
  readonly relays: readonly RelaySummary[]
  /** Servers of the network, as host:port. */
  readonly stun: readonly string[]
  /** What the hub said and was not believed, in words. */
  readonly faults: readonly string[]
  /** Names of nodes that said yes to this one, and wait for the same. */
  readonly waiting: readonly string[]
}

/** What stands between this node and another, by identity. */
export interface TrustEntry {
  readonly node: string
  readonly identity: string
  /**
   * waits: it said yes, this node did not; asked: the other way round; agreed: both did, the hub has to bring
   * it yet; trusted: the two can talk; refused: what the hub says of it was not believed; gone: this node said
   * yes, the hub does not name it now; none: neither said yes
   */
  readonly state: 'waits' | 'asked' | 'agreed' | 'trusted' | 'refused' | 'gone' | 'none'
  /** In words; empty if there is nothing to add. */
  readonly detail: string
}

export interface TrustReport {
  /** Of this node: what the others compare. */
  readonly node: string
  readonly identity: string
  readonly isConsentNeeded: boolean
  readonly nodes: readonly TrustEntry[]
}

export interface TrustOrder {
  /** Name or identity. */
  readonly node: string
  readonly isRevoked: boolean
}

/** Why a node, or a peer of the file, is reached as it is. */
export interface WhyReport {
  readonly node: string
  readonly kind: PathKind
  readonly endpoint: string
  readonly rttMs: number | null
  readonly relayRttMs: number | null
  /** Stable; `DIRECT` where there is nothing better to wish for, `PLAIN` for a peer of the file. */
  readonly code: WhyCode | 'DIRECT' | 'PLAIN'
  /** In words. */
  readonly reason: string
  /** The one thing that would help; empty if nothing would. */
  readonly help: string
  /** What is true of the way besides; codes are stable. */
  readonly notes: readonly { readonly code: WhyNote; readonly text: string }[]
  readonly ownMapping: Mapping
  readonly peerMapping: Mapping
  readonly ownCandidates: readonly string[]
  readonly peerCandidates: readonly string[]
  readonly probes: number
  /** From when its candidates were known to the first answer, in ms, of the latest success. */
  readonly searchMs: number | null
  readonly events: readonly { readonly agoS: number; readonly text: string }[]
}

export interface PeerStatus {
  /** Base64. */
  readonly publicKey: string
  /** Name from the file, or null. */
  readonly name: string | null
  /** `address:port` that datagrams are sent to, or null. */
  readonly endpoint: string | null
  /** What is wrong with the way to the endpoint, in words; empty if nothing is. */
  readonly endpointFault: string
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
  /** Null for a peer of the file. */
  readonly path: PathStatus | null
}

export interface InterfaceStatus {
  readonly interface: string
  /** `tunnel`: brought up from a file. `device`: interface and UAPI socket only. */
  readonly mode: 'tunnel' | 'device'
  readonly state: 'starting' | 'running' | 'stopping'
  readonly pid: number
  /** Process that starts the daemon again after a crash; null if the service manager does, or nobody. */
  readonly guardPid: number | null
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
  /** Where the interface was moved to, by name or as `net:[inode]`; null while it is where its daemon is. */
  readonly networkNamespace: string | null
  /** What is not as it should be, though the interface is up, in words. */
  readonly faults: readonly string[]
  readonly addresses: readonly string[]
  readonly peers: readonly PeerStatus[]
  /** Packets and datagrams dropped since start, by reason. */
  readonly drops: Readonly<Record<string, number>>
  /** Transport messages since start, of all peers. */
  readonly carried: CarriedTotals
  /** What carries packets, in words; null before it is there. */
  readonly dataPlane: string | null
  /** Null if the file names none. */
  readonly network: NetworkStatus | null
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
const pathKind: z.ZodType<PathKind> = z.enum(PATH_KINDS)
const mapping: z.ZodType<Mapping> = z.enum(MAPPINGS)

const peerStatus: z.ZodType<PeerStatus> = z.object({
  publicKey: z.string(),
  name: z.string().nullable(),
  endpoint: z.string().nullable(),
  endpointFault: z.string(),
  allowedIps: z.array(z.string()),
  state: z.enum(['idle', 'handshaking', 'connected', 'unreachable']),
  summary: z.string(),
  lastHandshakeAt: z.string().nullable(),
  lastHandshakeAgeS: z.number().nullable(),
  rxBytes: count,
  txBytes: count,
  persistentKeepaliveS: count,
  hasPresharedKey: z.boolean(),
  path: z
    .object({
      kind: pathKind,
      rttMs: z.number().nullable(),
      loss: z.number(),
      sinceS: z.number(),
      isOnline: z.boolean(),
    })
    .nullable(),
})

const networkStatus: z.ZodType<NetworkStatus> = z.object({
  name: z.string(),
  node: z.string(),
  hub: z.enum(['connecting', 'connected', 'waiting', 'broken']),
  hubDetail: z.string(),
  removedAt: z.string().nullable(),
  mapping,
  seenAs: z.array(z.string()),
  mappingLifetimeS: count.nullable(),
  stun: z.array(z.string()),
  relays: z.array(
    z.object({
      host: z.string(),
      port: count,
      isConnected: z.boolean(),
      isHome: z.boolean(),
      way: z.string(),
      rttMs: z.number().nullable(),
      limitMbitS: count.nullable(),
      overLimit: count,
      fault: z.string(),
    }),
  ),
  faults: z.array(z.string()),
  waiting: z.array(z.string()),
})

export const whyReports: z.ZodType<readonly WhyReport[]> = z.array(
  z.object({
    node: z.string(),
    kind: pathKind,
    endpoint: z.string(),
    rttMs: z.number().nullable(),
    relayRttMs: z.number().nullable(),
    code: z.enum(['DIRECT', 'PLAIN', ...WHY_CODES]),
    reason: z.string(),
    help: z.string(),
    notes: z.array(z.object({ code: z.enum(WHY_NOTES), text: z.string() })),
    ownMapping: mapping,
    peerMapping: mapping,
    ownCandidates: z.array(z.string()),
    peerCandidates: z.array(z.string()),
    probes: count,
    searchMs: z.number().nullable(),
    events: z.array(z.object({ agoS: z.number(), text: z.string() })),
  }),
)

export const trustOrder: z.ZodType<TrustOrder> = z.object({
  node: z.string().max(63),
  isRevoked: z.boolean().default(false),
})

export const trustEntry: z.ZodType<TrustEntry> = z.object({
  node: z.string(),
  identity: z.string(),
  state: z.enum(['waits', 'asked', 'agreed', 'trusted', 'refused', 'gone', 'none']),
  detail: z.string(),
})

export const trustReport: z.ZodType<TrustReport> = z.object({
  node: z.string(),
  identity: z.string(),
  isConsentNeeded: z.boolean(),
  nodes: z.array(trustEntry),
})

export const interfaceStatus: z.ZodType<InterfaceStatus> = z.object({
  interface: z.string(),
  mode: z.enum(['tunnel', 'device']),
  state: z.enum(['starting', 'running', 'stopping']),
  pid: count,
  guardPid: count.nullable().default(null), // daemons that were started before there were guards
  version: z.string(),
  configFile: z.string().nullable(),
  logFile: z.string().nullable(),
  publicKey: z.string().nullable(),
  listenPort: count,
  fwmark: count,
  mtu: count,
  networkNamespace: z.string().nullable().default(null),
  isUp: z.boolean(),
  faults: z.array(z.string()).default([]), // and before they told any
  addresses: z.array(z.string()),
  peers: z.array(peerStatus),
  drops: z.record(z.string(), count),
  carried: z.object({ rxBytes: count, rxMessages: count, txBytes: count, txMessages: count }),
  dataPlane: z.string().nullable(),
  network: networkStatus.nullable(),
})

export const reloadResult: z.ZodType<ReloadResult> = z.object({ changedPeers: count, systemChanges: count })

export const stopResult: z.ZodType<StopResult> = z.object({ faults: z.array(z.string()) })

export const apiFailure: z.ZodType<ApiFailure> = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    field: z.string().optional(),
    issues: z
      .array(z.object({ file: z.string(), line: count, message: z.string(), hint: z.string() }))
      .optional(),
  }),
})
