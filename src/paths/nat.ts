/**
 * What a NAT is like, and how that follows from what was seen of it. Words of RFC 4787; the estimate of
 * the port range is ours: ports of fresh sockets are samples of the range that the NAT takes them from.
 */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { equalIp, formatIp, type IpAddress } from '../net/ip.js'

/** Which parts of the remote endpoint a NAT's choice depends on. */
export type Dependence = 'endpointIndependent' | 'addressDependent' | 'addressAndPortDependent'

/** `none`: the address is the machine's own. */
export type Mapping = 'none' | Dependence | 'unknown'
export type Filtering = Dependence | 'unknown'

/** How external ports are chosen, as far as samples tell. */
export type PortChoice =
  | { readonly kind: 'sequential'; readonly step: number }
  | { readonly kind: 'random'; readonly low: number; readonly high: number }

/** One answer: who was asked, and as whom it saw us. */
export interface Sighting {
  readonly server: Endpoint
  readonly mapped: Endpoint
}

const MAX_PORT = 65535
/** Samples that lie apart by more than this, one after the other, are no sequence. */
const MAX_STEP = 1024
/** A NAT may have begun anew at its lowest port in between; of fewer samples random ones may look so. */
const MIN_SAMPLES_OVER_END = 12
/** A range wider than this is probably one of those that systems take ports from by default. */
const MAX_BLOCK_PORTS = 8192
/** pf (pfSense, OPNsense, OpenBSD), IANA's ephemeral ports, everything unprivileged: narrowest first. */
const KNOWN_RANGES: readonly (readonly [low: number, high: number])[] = [
  [50_001, MAX_PORT],
  [49_152, MAX_PORT],
  [1024, MAX_PORT],
]

/** `sightings`: all from one socket. `unknown` if they do not suffice: one server address saw one mapping. */
export function mappingOf(sightings: readonly Sighting[], ownAddresses: readonly IpAddress[]): Mapping {
  const byAddress = new Map<string, Set<string>>()
  for (const { server, mapped } of sightings) {
    const key = formatIp(server.address)
    const seen = byAddress.get(key) ?? new Set<string>()
    byAddress.set(key, seen.add(formatEndpoint(mapped)))
  }
  const [first] = sightings
  if (first === undefined) return 'unknown'
  if (ownAddresses.some((own) => equalIp(own, first.mapped.address))) return 'none'
  const all = new Set([...byAddress.values()].flatMap((seen) => [...seen]))
  if (all.size === 1) return byAddress.size > 1 ? 'endpointIndependent' : 'unknown'
  const isPortSeen = hasTwoPortsOfOneAddress(sightings)
  const isStable = [...byAddress.values()].every((seen) => seen.size === 1)
  // Where the two were not told apart, the harder one is assumed.
  return isPortSeen && isStable ? 'addressDependent' : 'addressAndPortDependent'
}

function hasTwoPortsOfOneAddress(sightings: readonly Sighting[]): boolean {
  const servers = new Set(sightings.map(({ server }) => formatEndpoint(server)))
  const addresses = new Set(sightings.map(({ server }) => formatIp(server.address)))
  return servers.size > addresses.size
}

/** `ports`: external ports of fresh sockets in the order in which they were sent from; at least 4. */
export function portChoiceOf(ports: readonly number[]): PortChoice | undefined {
  if (ports.length < 4) return undefined
  const steps = ports.slice(1).map((port, i) => port - (ports[i] as number))
  const forward = steps.filter((step) => step > 0 && step <= MAX_STEP)
  const isBegunAnew = ports.length >= MIN_SAMPLES_OVER_END && steps.filter((step) => step < 0).length === 1
  if (forward.length === steps.length - (isBegunAnew ? 1 : 0)) {
    return { kind: 'sequential', step: Math.min(...forward) }
  }
  const least = Math.min(...ports)
  const most = Math.max(...ports)
  // The expected gap beyond the outermost of n samples, twice.
  const padding = Math.ceil((2 * (most - least)) / (ports.length - 1))
  const low = Math.max(1, least - padding)
  const high = Math.min(MAX_PORT, most + padding)
  const known =
    high - low < MAX_BLOCK_PORTS ? undefined : KNOWN_RANGES.find(([from, to]) => least >= from && most <= to)
  return { kind: 'random', low: known?.[0] ?? low, high: known?.[1] ?? high }
}
