/**
 * Changes to the host, as data: what `up` does, what the undo journal remembers, what a reload
 * compares. Texts and numbers only, so that a change survives a trip through a file.
 *
 * Two kinds. Those that belong to the interface (mtu, address, linkUp, route) vanish with it, and it
 * vanishes with its daemon. Those that outlive it (LASTING_KINDS) are written to the journal first.
 */

/** A policy routing rule. */
interface RuleChange {
  readonly kind: 'rule'
  readonly family: 4 | 6
  /** Always ours to choose, so that undoing takes away exactly this rule. */
  readonly priority: number
  readonly table: number
  /** Applies to packets that do not carry this mark. */
  readonly unlessMark?: number | undefined
  /** Ignore routes of this prefix length or shorter. */
  readonly suppressPrefixLength?: number | undefined
}

/** A kernel setting, by its dotted name. */
interface SysctlChange {
  readonly kind: 'sysctl'
  readonly name: string
  readonly value: string
  readonly previous: string
}

/** The packet filter table of src/platform/firewall.ts. */
interface FirewallChange {
  readonly kind: 'firewall'
  readonly family: 'ip' | 'ip6'
  readonly addresses: readonly string[]
  readonly mark: number
}

interface DnsChange {
  readonly kind: 'dns'
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
}

/** Names of the network's domain are asked of the node's own server. */
interface NamesChange {
  readonly kind: 'names'
  readonly server: string
  readonly domain: string
}

/** How this machine resolves names. It works without: a change of these that cannot be made keeps nothing from coming up. */
export type ResolverChange = DnsChange | NamesChange

export function isResolverChange(change: SystemChange): change is ResolverChange {
  return change.kind === 'dns' || change.kind === 'names'
}

/** The packet filter table of src/platform/kill-switch.ts. It stays when the daemon dies, until somebody says `down`. */
interface KillSwitchChange {
  readonly kind: 'killSwitch'
  /** Of the tunnel's own datagrams. */
  readonly mark: number
}

export type LastingChange =
  | RuleChange
  | SysctlChange
  | FirewallChange
  | DnsChange
  | NamesChange
  | KillSwitchChange

export type InterfaceChange =
  | { readonly kind: 'mtu'; readonly mtu: number }
  | { readonly kind: 'address'; readonly prefix: string }
  | { readonly kind: 'linkUp' }
  | { readonly kind: 'route'; readonly prefix: string; readonly table: number }

export type SystemChange = InterfaceChange | LastingChange

const LASTING_KINDS: ReadonlySet<string> = new Set<LastingChange['kind']>([
  'rule',
  'sysctl',
  'firewall',
  'dns',
  'names',
  'killSwitch',
])

export function isLasting(change: SystemChange): change is LastingChange {
  return LASTING_KINDS.has(change.kind)
}

/** What outlives even a crash: only an ordered end takes it back. */
export function outlivesCrash(change: LastingChange): boolean {
  return change.kind === 'killSwitch'
}

/** Two changes are one if they say the same. */
function equalChange(a: SystemChange, b: SystemChange): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** What leads from one state of the host to another: take back `undo` in order, then apply `apply`. */
export interface SystemTransition {
  readonly undo: readonly SystemChange[]
  readonly apply: readonly SystemChange[]
}

export function transitionOf(
  current: readonly SystemChange[],
  wanted: readonly SystemChange[],
): SystemTransition {
  return {
    undo: current.filter((change) => !wanted.some((other) => equalChange(change, other))).reverse(),
    apply: wanted.filter((change) => !current.some((other) => equalChange(change, other))),
  }
}
