/** A site of the laboratory's internet: a machine, and what stands between it and the core. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type Namespace } from './namespace.js'
import { type RouterKind, type RouterOptions, routerRules } from './routers.js'

/** PCP goes with NAT-PMP: the mapping daemon knows the two by one name. */
export const MAPPING_PROTOCOLS = ['nat-pmp', 'upnp'] as const
export type MappingProtocol = (typeof MAPPING_PROTOCOLS)[number]

export interface Site {
  readonly number: number
  readonly kind: RouterKind
  readonly host: Namespace
  /** The one next to the host. */
  readonly router: Namespace
  /** All translation on the way out, for conntrack. */
  readonly routers: readonly Namespace[]
  /** Outside address of the outermost router; another one after `renumber`. */
  outside: string
  /** Of the machine. */
  readonly address: string
}

export interface SiteOptions extends RouterOptions {
  readonly hasV6?: boolean
  /** What the way out carries; without it, all that the kernel can. */
  readonly uplinkMbit?: number
}

export interface SitePlace {
  /** From 1 to 31; all addresses follow from it. */
  readonly number: number
  readonly core: Namespace
  readonly create: (label: string) => Namespace
}

/** Chains into which the mapping daemon puts its rules. */
const MAPPING_RULES = `table inet mapped {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain before {
    type nat hook prerouting priority -110
    jump prerouting_miniupnpd
  }
  chain after {
    type nat hook postrouting priority 90
    jump postrouting_miniupnpd
  }
}`
const V6_RULES = `table ip6 lab {
  chain pass {
    type filter hook forward priority 0
    ct state established,related accept
    iifname "wan" drop
  }
}`
/** What may leave at once, and how long the rest may wait: as in the small routers of homes. */
const UPLINK_QUEUE = ['burst', '16kb', 'latency', '50ms'] as const

export function buildSite(place: SitePlace, kind: RouterKind, options: SiteOptions): Site {
  const { number, core, create } = place
  const host = create(`host${number}`)
  const router = create(`router${number}`)
  const coreSide = `198.51.100.${4 * number + 1}`
  const wan = `198.51.100.${4 * number + 2}`
  const isOpen = kind === 'open'
  const address = isOpen ? `192.0.2.${4 * number + 2}` : `192.168.${number}.2`
  const routerAddress = isOpen ? `192.0.2.${4 * number + 1}` : `192.168.${number}.1`
  const bits = isOpen ? 30 : 24
  connect(
    { in: router, name: 'lan', addresses: [`${routerAddress}/${bits}`] },
    { in: host, name: 'eth0', addresses: [`${address}/${bits}`] },
  )
  host.ip('route', 'add', 'default', 'via', routerAddress)
  const outer = kind === 'carrierDouble' ? addCarrier(place, router) : router
  connect(
    { in: core, name: `site${number}`, addresses: [`${coreSide}/30`] },
    { in: outer, name: 'wan', addresses: [`${wan}/30`] },
  )
  outer.ip('route', 'add', 'default', 'via', coreSide)
  if (isOpen) core.ip('route', 'add', `192.0.2.${4 * number}/30`, 'via', wan)
  if (outer !== router) outer.setRules(routerRules('portRestricted', { host: '', outside: wan }))
  const outside = outer === router ? wan : '100.64.0.2'
  router.setRules(routerRules(kind, { host: address, outside }, options))
  if (options.hasV6 === true) addV6(place, host, router)
  const routers = [...new Set([router, outer])]
  // A real one does not let a TCP connection go on that it has forgotten.
  for (const each of routers) each.runSync('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_loose=0')
  return { number, kind, host, router, routers, outside: wan, address }
}

/** The outermost router gets another public address, as from a provider that gives out new ones each night. */
export function renumber(site: Site, core: Namespace): void {
  const outermost = site.routers.at(-1) ?? site.router
  const [coreSide, wan] = [1, 2].map((host) => `198.51.100.${128 + 4 * site.number + host}`)
  core.ip('addr', 'replace', `${coreSide}/30`, 'dev', `site${site.number}`)
  outermost.ip('addr', 'flush', 'dev', 'wan')
  outermost.ip('addr', 'add', `${wan}/30`, 'dev', 'wan')
  outermost.ip('route', 'replace', 'default', 'via', String(coreSide))
  site.outside = String(wan)
}

/** A second translation, with addresses of RFC 6598 between. Gives the carrier's router. */
function addCarrier({ number, create }: SitePlace, router: Namespace): Namespace {
  const carrier = create(`carrier${number}`)
  connect(
    { in: carrier, name: 'lan', addresses: ['100.64.0.1/24'] },
    { in: router, name: 'wan', addresses: ['100.64.0.2/24'] },
  )
  router.ip('route', 'add', 'default', 'via', '100.64.0.1')
  return carrier
}

function addV6({ number, core }: SitePlace, host: Namespace, router: Namespace): void {
  const net = `2001:db8:${number}`
  router.ip('addr', 'add', `${net}:1::1/64`, 'dev', 'lan', 'nodad')
  host.ip('addr', 'add', `${net}:1::2/64`, 'dev', 'eth0', 'nodad')
  host.ip('-6', 'route', 'add', 'default', 'via', `${net}:1::1`)
  router.ip('addr', 'add', `${net}:ff::2/64`, 'dev', 'wan', 'nodad')
  core.ip('addr', 'add', `${net}:ff::1/64`, 'dev', `site${number}`, 'nodad')
  router.ip('-6', 'route', 'add', 'default', 'via', `${net}:ff::1`)
  core.ip('-6', 'route', 'add', `${net}:1::/64`, 'via', `${net}:ff::2`)
  router.addRules(V6_RULES)
}

/** One more machine behind the router of a site; `number`: of the machine, from 1. */
export function addMachine(site: Site, number: number, create: (label: string) => Namespace): Site {
  const host = create(`machine${number}`)
  const address = `10.77.${number}.2`
  connect(
    { in: site.router, name: `lan${number}`, addresses: [`10.77.${number}.1/24`] },
    { in: host, name: 'eth0', addresses: [`${address}/24`] },
  )
  host.ip('route', 'add', 'default', 'via', `10.77.${number}.1`)
  return { ...site, host, address }
}

/** Packets go out one by one: a bucket would lose a whole train of segments where it loses one packet. */
export function limitUplink({ host, router }: Site, mbit: number): void {
  for (const [namespace, link] of [
    [host, 'eth0'],
    [router, 'lan'],
    [router, 'wan'],
  ] as const) {
    namespace.ip('link', 'set', link, 'gso_max_segs', '1')
  }
  router.runSync('tc', 'qdisc', 'add', 'dev', 'wan', 'root', 'tbf', 'rate', `${mbit}mbit`, ...UPLINK_QUEUE)
}

/** By PCP and NAT-PMP. */
export function startMappingDaemon({ router }: Site, protocol: MappingProtocol, directory: string): void {
  const isUpnp = protocol === 'upnp'
  router.addRules(MAPPING_RULES)
  const path = join(directory, `${router.name}.upnp`)
  const settings = [
    'ext_ifname=wan',
    'listening_ip=lan',
    // It refuses to serve behind an address that is set aside for documentation.
    'ext_ip=5.5.5.5',
    `enable_natpmp=${isUpnp ? 'no' : 'yes'}`,
    `enable_upnp=${isUpnp ? 'yes' : 'no'}`,
    'secure_mode=yes',
    'uuid=00000000-0000-0000-0000-000000000000',
    'upnp_table_name=mapped',
    'upnp_nat_table_name=mapped',
    'upnp_forward_chain=miniupnpd',
    'upnp_nat_chain=prerouting_miniupnpd',
    'upnp_nat_postrouting_chain=postrouting_miniupnpd',
    'allow 1024-65535 192.168.0.0/16 1024-65535',
  ]
  writeFileSync(path, `${settings.join('\n')}\n`)
  router.start(['miniupnpd', '-d', '-f', path, '-P', `${path}.pid`])
}
