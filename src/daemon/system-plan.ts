/**
 * From a tunnel's configuration to the list of changes that bring it up: pure, in the order in which
 * they are made. The rules are wg-quick's: addresses, MTU, link up, DNS last among the settings, and
 * a default route that leaves the host's own routes and the tunnel's own datagrams alone.
 *
 * How a default route works: it goes into a table of its own. One rule sends all packets without the
 * tunnel's mark there; a rule ahead of it lets the main table answer first, its default routes left
 * out. The tunnel's outer datagrams carry the mark and so take the host's own default route.
 */

import { routesOf } from '../config/routes.js'
import type { TunnelConfig } from '../config/types.js'
import { zoneDomain } from '../names/zone.js'
import { formatIp } from '../net/ip.js'
import { formatPrefix, maskPrefix, type Prefix, prefixContains } from '../net/prefix.js'
import { MAIN_TABLE } from '../platform/network.js'
import type { SystemChange } from './system-change.js'

export const SRC_VALID_MARK = 'net.ipv4.conf.all.src_valid_mark'
/** First table tried for default routes; wg-quick starts at the same. */
const FIRST_POLICY_TABLE = 51_820

type Family = 4 | 6
const FAMILIES: readonly Family[] = [4, 6]

/** Numbers chosen once for a tunnel with a default route; they stay through reloads. */
export interface PolicyRouting {
  /** Routing table, and mark of the tunnel's outer datagrams. */
  readonly table: number
  /** Priority of the rule that leads to that table; the main table's rule is one ahead of it. */
  readonly priority: Readonly<Record<Family, number>>
}

/** What the plan must know about the host. */
export interface HostFacts {
  /** Whether the resolver may be changed. */
  readonly hasDns: boolean
  readonly mtu: number
  /** Undefined where no default route asks for it. */
  readonly policy: PolicyRouting | undefined
  /** Value of SRC_VALID_MARK before any tunnel changed it; empty where no default route asks for it. */
  readonly srcValidMark: string
  readonly hasFirewall: boolean
  /** Why addresses and routes of IPv6 are left out, in words; undefined if they work. */
  readonly ipv6Fault: string | undefined
}

/** Whether traffic to everywhere goes through the tunnel, by routes that we are to make. */
export function needsPolicyRouting(config: TunnelConfig): boolean {
  return config.interface.table === 'auto' && routesOf(config).some((prefix) => prefix.bits === 0)
}

export interface RoutingState {
  /** Numbers of all tables that hold a route. */
  readonly usedTables: ReadonlySet<number>
  /** Priorities of all rules. */
  readonly priorities: Readonly<Record<Family, readonly number[]>>
}

/** `mark`: from the file; 0 lets us choose a free table. */
export function choosePolicyRouting(mark: number, state: RoutingState): PolicyRouting {
  let table = mark
  if (table === 0) {
    table = FIRST_POLICY_TABLE
    while (state.usedTables.has(table)) table += 1
  }
  return {
    table,
    priority: { 4: priorityAhead(state.priorities[4]), 6: priorityAhead(state.priorities[6]) },
  }
}

/** Ahead of every rule but the local table's, with one number free before it. */
function priorityAhead(priorities: readonly number[]): number {
  const lowest = Math.min(32_766, ...priorities.filter((priority) => priority > 0))
  return Math.max(2, lowest - 1)
}

export function planSystem(whole: TunnelConfig, facts: HostFacts): SystemChange[] {
  const config = facts.ipv6Fault === undefined ? whole : withoutIpv6(whole)
  const changes: SystemChange[] = planKillSwitch(config, facts)
  for (const address of config.interface.addresses) {
    changes.push({ kind: 'address', prefix: formatPrefix(address) })
  }
  changes.push({ kind: 'mtu', mtu: facts.mtu }, { kind: 'linkUp' })
  if (facts.hasDns) changes.push(...planDns(config))
  changes.push(...planRoutes(config, facts))
  if (facts.hasDns) changes.push(...planNames(config))
  return changes
}

/** As it is, if nothing were left. */
function withoutIpv6(config: TunnelConfig): TunnelConfig {
  const isV4 = (prefix: Prefix): boolean => prefix.address.family === 4
  const addresses = config.interface.addresses.filter(isV4)
  if (addresses.length === 0) return config
  const peers = config.peers.map((peer) => ({ ...peer, allowedIps: peer.allowedIps.filter(isV4) }))
  return { ...config, interface: { ...config.interface, addresses }, peers }
}

/** First to come and last to go. */
function planKillSwitch({ killSwitch }: TunnelConfig, { policy }: HostFacts): SystemChange[] {
  return killSwitch === true && policy !== undefined ? [{ kind: 'killSwitch', mark: policy.table }] : []
}

/** The node answers for its network's domain on its own address. */
function planNames({ overlay, interface: { addresses } }: TunnelConfig): SystemChange[] {
  const own = addresses.find(({ address }) => address.family === 4)
  if (overlay === undefined || overlay.hasNames === false || own === undefined) return []
  return [{ kind: 'names', server: formatIp(own.address), domain: zoneDomain(overlay.network) }]
}

function planDns(config: TunnelConfig): SystemChange[] {
  const { servers, searchDomains } = config.interface.dns
  if (servers.length === 0) return []
  return [{ kind: 'dns', servers: servers.map(formatIp), searchDomains: [...searchDomains] }]
}

function planRoutes(config: TunnelConfig, facts: HostFacts): SystemChange[] {
  const { table } = config.interface
  const routes = routesOf(config)
  if (table === 'off') return []
  if (table !== 'auto') return routes.map((prefix) => route(prefix, table))
  const changes: SystemChange[] = []
  // Addresses bring routes of their own; what those or a wider one cover is reached already.
  const covered = config.interface.addresses.map(maskPrefix)
  for (const prefix of routes) {
    if (prefix.bits === 0) continue
    if (covered.some((wider) => wider.bits <= prefix.bits && prefixContains(wider, prefix.address))) continue
    covered.push(prefix)
    changes.push(route(prefix, MAIN_TABLE))
  }
  for (const family of FAMILIES) {
    const everywhere = routes.find((prefix) => prefix.bits === 0 && prefix.address.family === family)
    if (everywhere !== undefined) changes.push(...planDefaultRoute(everywhere, config, facts))
  }
  return changes
}

function route(prefix: Prefix, table: number): SystemChange {
  return { kind: 'route', prefix: formatPrefix(prefix), table }
}

function planDefaultRoute(everywhere: Prefix, config: TunnelConfig, facts: HostFacts): SystemChange[] {
  const { policy } = facts
  if (policy === undefined) return []
  const { family } = everywhere.address
  const priority = policy.priority[family]
  const changes: SystemChange[] = []
  if (facts.hasFirewall) changes.push(planFirewall(family, config, policy.table))
  if (family === 4 && facts.srcValidMark !== '1') {
    changes.push({ kind: 'sysctl', name: SRC_VALID_MARK, value: '1', previous: facts.srcValidMark })
  }
  changes.push(
    route(everywhere, policy.table),
    { kind: 'rule', family, priority: priority - 1, table: MAIN_TABLE, suppressPrefixLength: 0 },
    { kind: 'rule', family, priority, table: policy.table, unlessMark: policy.table },
  )
  return changes
}

function planFirewall(family: Family, config: TunnelConfig, mark: number): SystemChange {
  const own = config.interface.addresses.filter((prefix) => prefix.address.family === family)
  return {
    kind: 'firewall',
    family: family === 4 ? 'ip' : 'ip6',
    addresses: own.map((prefix) => formatIp(prefix.address)),
    mark,
  }
}
