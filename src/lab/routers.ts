/**
 * Routers of every kind, as rules of nftables. Names of interfaces: `wan` outside, `lan` inside.
 *
 * One machine lives behind each, so what a rule does per machine it does at all. Linux keeps the port where
 * it can, which makes plain masquerading endpoint-independent in its mapping; filtering is conntrack's,
 * by address and port.
 */

export const ROUTER_KINDS = [
  'open',
  'fullCone',
  'addressRestricted',
  'portRestricted',
  'answering',
  'addressDependent',
  'symmetricRandom',
  'symmetricSequential',
  'carrierBlock',
  'carrierDouble',
] as const
export type RouterKind = (typeof ROUTER_KINDS)[number]

/** What each is, for people. */
export const ROUTER_WORDS: Readonly<Record<RouterKind, string>> = {
  open: 'no NAT',
  fullCone: 'full cone',
  addressRestricted: 'address-restricted cone',
  portRestricted: 'port-restricted cone (Linux with a firewall)',
  addressDependent: 'another port for each address, and it takes answers from any port of that',
  answering: 'Linux without a firewall: answers what nobody asked for',
  symmetricRandom: 'symmetric, ports at random',
  symmetricSequential: 'symmetric, ports in order',
  carrierBlock: 'carrier NAT, symmetric within a block of 512 ports',
  carrierDouble: 'home router behind a carrier NAT',
}

export interface RouterAddresses {
  /** Of the machine behind it. */
  readonly host: string
  /** Its own, outside. */
  readonly outside: string
}

export interface RouterOptions {
  /** Turns back what is sent from inside to its outside; a full cone only. */
  readonly hasHairpin?: boolean
}

const SEQUENCE_PORTS = 2048
const FIRST_SEQUENCE_PORT = 20_000
const HASHED_PORTS = 8192
const FIRST_HASHED_PORT = 30_000
const BLOCK = '5120-5631'

/** Of its firewall too, unless it is one that answers. */
export function routerRules(
  kind: RouterKind,
  addresses: RouterAddresses,
  options: RouterOptions = {},
): string {
  const { host } = addresses
  const isFirewalled = kind !== 'answering' && kind !== 'open'
  const isNat = kind !== 'open'
  const [before, after, sets] = translation(kind, addresses)
  const [turnIn, turnBack] =
    options.hasHairpin === true && kind === 'fullCone' ? hairpin(addresses) : ['', '']
  const chains = [
    chain('before', 'nat hook prerouting priority -100', `${before.replaceAll('HOST', host)}\n ${turnIn}`),
    chain('after', 'nat hook postrouting priority 100', `${after}\n ${turnBack}`),
    chain(
      'input',
      'filter hook input priority 0',
      `iifname "wan" ct state established,related accept
      iifname "wan" ip protocol icmp accept
      ${isFirewalled ? 'iifname "wan" drop' : ''}`,
    ),
    // What the middle of a connection that it has forgotten is worth to a NAT: nothing.
    chain('lost', 'filter hook forward priority -5', isNat ? 'meta l4proto tcp ct state invalid drop' : ''),
    chain('note', 'filter hook postrouting priority 110', noteOf(kind)),
  ]
  return `table ip lab {\n${sets}\n${chains.join('\n')}\n}`
}

function chain(name: string, hook: string, rules: string): string {
  return `chain ${name} {\n type ${hook}\n ${rules}\n}`
}

function translation(
  kind: RouterKind,
  { outside }: RouterAddresses,
): readonly [before: string, after: string, sets: string] {
  const masquerade = 'oifname "wan" masquerade'
  const random = (protocols: string, ports = '1024-65535'): string =>
    `oifname "wan" meta l4proto ${protocols} masquerade to :${ports} fully-random`
  const seen = 'set seen { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 2m; }'
  const placesOf = (first: number, count: number): string =>
    Array.from({ length: count }, (_, i) => `${i} : ${outside} . ${first + i}`).join(', ')
  switch (kind) {
    case 'open':
      return ['', '', '']
    case 'addressDependent': {
      // The port follows from the address that is written to and the port that writes, and from nothing else.
      const port = `jhash ip daddr . udp sport mod ${HASHED_PORTS} seed 0x6f766c01`
      const places = placesOf(FIRST_HASHED_PORT, HASHED_PORTS)
      return [
        'iifname "wan" meta l4proto udp dnat ip addr . port to udp dport . ip saddr map @owners',
        `oifname "wan" meta l4proto udp snat ip addr . port to ${port} map { ${places} }\n ${random('tcp')}\n ${masquerade}`,
        'map owners { type inet_service . ipv4_addr : ipv4_addr . inet_service; flags dynamic,timeout; timeout 2m; size 65535; }',
      ]
    }
    case 'fullCone':
      return ['iifname "wan" meta l4proto udp dnat to HOST', masquerade, '']
    case 'addressRestricted':
      return ['iifname "wan" udp dport . ip saddr @seen dnat to HOST', masquerade, seen]
    case 'portRestricted':
    case 'answering':
    case 'carrierDouble':
      return ['', masquerade, '']
    case 'symmetricRandom':
      return ['', `${random('{ tcp, udp }')}\n ${masquerade}`, '']
    case 'carrierBlock':
      return ['', `${random('{ tcp, udp }', BLOCK)}\n ${masquerade}`, '']
    case 'symmetricSequential': {
      const map = `numgen inc mod ${SEQUENCE_PORTS} map { ${placesOf(FIRST_SEQUENCE_PORT, SEQUENCE_PORTS)} }`
      return [
        '',
        `oifname "wan" meta l4proto udp snat ip addr . port to ${map}\n ${random('tcp')}\n ${masquerade}`,
        '',
      ]
    }
  }
}

/** What routers that restrict by address remember: who was written to from which of their ports, and whose that is. */
function noteOf(kind: RouterKind): string {
  const written = 'udp sport . ip daddr'
  if (kind === 'addressRestricted') return `oifname "wan" meta l4proto udp update @seen { ${written} }`
  if (kind !== 'addressDependent') return ''
  return `oifname "wan" meta l4proto udp update @owners { ${written} : ct original ip saddr . ct original proto-src }`
}

/** The answer goes back through the router only if the question seems to come from outside of it. */
function hairpin({ host, outside }: RouterAddresses): readonly [before: string, after: string] {
  return [
    `iifname "lan" ip daddr ${outside} meta l4proto udp dnat to ${host}`,
    `oifname "lan" ip saddr ${host} ct status dnat meta l4proto udp snat to ${outside}`,
  ]
}

/** What may go wrong on the way, as a table of its own beside the router's. */
export const FAULT_RULES = {
  udpBlocked: 'meta l4proto udp drop',
  // Nothing but TCP to the hub and the relays: no two nodes reach each other without one.
  serversOnly: 'oifname "wan" ip daddr 203.0.113.0/24 meta l4proto tcp accept\n oifname "wan" drop',
  tcp443Only: 'oifname "wan" tcp dport 443 accept\n oifname "wan" drop',
  // Whoever looks into the first bytes of a connection and wants TLS there.
  tls443Only: `oifname "wan" tcp dport 443 ct mark 7 accept
    oifname "wan" tcp dport 443 meta length > 60 @ih,0,8 0x16 ct mark set 7 accept
    oifname "wan" tcp dport 443 meta length <= 60 accept
    oifname "wan" drop`,
  // Whoever knows WireGuard by its first four bytes: of its handshakes, and of all its messages.
  handshakesDropped: 'meta l4proto udp @th,64,32 { 0x01000000, 0x02000000, 0x03000000 } drop',
  wireguardDropped: 'meta l4proto udp @th,64,32 { 0x01000000, 0x02000000, 0x03000000, 0x04000000 } drop',
  // Whoever knows STUN by its cookie.
  stunDropped: 'meta l4proto udp @th,96,32 0x2112a442 drop',
  cut: 'drop',
  // And says nothing of it, as many do.
  narrow: 'meta l4proto udp meta length > 1400 drop',
} as const
export type Fault = keyof typeof FAULT_RULES

/** A table of sessions that is no longer than this. */
export function sessionRules(count: number): string {
  const rules = `iifname "lan" ct state new ct count over ${count} counter name refused drop`
  return `table ip sessions {\n counter refused { }\n${chain('pass', 'filter hook forward priority -10', rules)}\n}`
}

export function faultRules(rules: string): string {
  const hook = 'filter hook forward priority 0'
  const all = 'oifname "wan" drop\n iifname "wan" drop'
  return `table ip fault {\n${chain('pass', hook, rules)}\n}\ntable ip6 fault {\n${chain('pass', hook, all)}\n}`
}
