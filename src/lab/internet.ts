/**
 * An internet in network namespaces, with addresses that are set aside for documentation.
 *
 *   host 192.168.N.2 ── lan ─ router ─ wan ── 198.51.100.x/30 ─┐
 *   host 192.168.M.2 ── lan ─ router ─ wan ── 198.51.100.y/30 ─┤ core ── 203.0.113.1, .2   hub
 *                                                             (delay)
 *
 * Everything that crosses the core is held there for half of the round trip. IPv6 is routed, not
 * translated, behind a firewall with state, where a site has it.
 */

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect, Namespace } from './namespace.js'
import { FAULT_RULES, type Fault, faultRules, type RouterKind, routerRules, sessionRules } from './routers.js'

export const HUB_ADDRESS = '203.0.113.1'
const PROXY_PORT = 3128
const HUB_SECOND_ADDRESS = '203.0.113.2'
const HUB_V6 = '2001:db8::1'
/** With commas: two of IPv4, which tell every kind of NAT. */
export const STUN_ADDRESSES: string = [HUB_ADDRESS, HUB_SECOND_ADDRESS, HUB_V6].join()
const OVERLAY = fileURLToPath(new URL('../../bin/overlay', import.meta.url))
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
/** The core stands for many routers: what is to live for a few hops gets no farther. */
const FAR_RULES = `table ip far {
  chain pass {
    type filter hook forward priority 0
    ip ttl < 10 drop
  }
}`
const DELAY_LINK = 'delay0'
const DELAY_TABLE = '100'

/** Namespaces share the file system: journals, sockets, logs and netmaps of daemons that were killed. */
const TRACE_DIRECTORIES = ['/run/overlay', '/var/run/wireguard', '/var/log/overlay', '/var/lib/overlay']

let made = 0

/** PCP goes with NAT-PMP: the mapping daemon knows the two by one name. */
export const MAPPING_PROTOCOLS = ['nat-pmp', 'upnp'] as const
export type MappingProtocol = (typeof MAPPING_PROTOCOLS)[number]

export interface InternetOptions {
  readonly rttMs: number
  readonly lossPercent: number
}

export interface Site {
  readonly kind: RouterKind
  readonly host: Namespace
  /** The one next to the host. */
  readonly router: Namespace
  /** All translation on the way out, for conntrack. */
  readonly routers: readonly Namespace[]
  /** Outside address of the outermost router. */
  readonly outside: string
}

export class Internet {
  readonly directory: string
  readonly hub: Namespace
  readonly #core: Namespace
  readonly #prefix: string
  readonly #namespaces: Namespace[] = []
  readonly #interfaceNames: string[] = []
  #sites = 0

  private constructor(prefix: string) {
    this.#prefix = prefix
    this.directory = mkdtempSync(join(tmpdir(), 'overlay-lab-'))
    this.#core = this.#create('core')
    this.hub = this.#create('hub')
  }

  /** Throws AppError; then nothing is left. */
  static async open(options: InternetOptions): Promise<Internet> {
    made += 1
    const internet = new Internet(`ovl${process.pid.toString(36)}-${made}-`)
    try {
      connect(
        { in: internet.#core, name: 'hub', addresses: ['203.0.113.254/24', '2001:db8::ff/64'] },
        {
          in: internet.hub,
          name: 'eth0',
          addresses: [`${HUB_ADDRESS}/24`, `${HUB_SECOND_ADDRESS}/24`, `${HUB_V6}/64`],
        },
      )
      internet.hub.ip('route', 'add', 'default', 'via', '203.0.113.254')
      internet.hub.ip('-6', 'route', 'add', 'default', 'via', '2001:db8::ff')
      internet.#core.setRules(FAR_RULES)
      if (options.rttMs > 0 || options.lossPercent > 0) await internet.#delay(options)
      return internet
    } catch (error) {
      internet.close()
      throw error
    }
  }

  /** A machine behind a router of this kind. */
  addSite(kind: RouterKind, options: { readonly hasV6?: boolean } = {}): Site {
    this.#sites += 1
    const number = this.#sites
    const host = this.#create(`host${number}`)
    const router = this.#create(`router${number}`)
    const [coreSide, wan] = [4 * number + 1, 4 * number + 2].map((last) => `198.51.100.${last}`)
    const lan = `192.168.${number}`
    const isOpen = kind === 'open'
    const hostAddress = isOpen ? `192.0.2.${number * 4 + 2}` : `${lan}.2`
    const routerAddress = isOpen ? `192.0.2.${number * 4 + 1}` : `${lan}.1`
    const bits = isOpen ? 30 : 24
    connect(
      { in: router, name: 'lan', addresses: [`${routerAddress}/${bits}`] },
      { in: host, name: 'eth0', addresses: [`${hostAddress}/${bits}`] },
    )
    host.ip('route', 'add', 'default', 'via', routerAddress)
    const outer = kind === 'carrierDouble' ? this.#addCarrier(number, router) : router
    connect(
      { in: this.#core, name: `site${number}`, addresses: [`${coreSide}/30`] },
      { in: outer, name: 'wan', addresses: [`${wan}/30`] },
    )
    outer.ip('route', 'add', 'default', 'via', coreSide ?? '')
    if (isOpen)
      this.#core.ip(
        'route',
        'add',
        `${hostAddress}/30`.replace(/\d+\/30/, `${number * 4}/30`),
        'via',
        wan ?? '',
      )
    if (outer !== router) outer.setRules(routerRules('portRestricted', { host: '', outside: wan ?? '' }))
    const outside = outer === router ? (wan ?? '') : '100.64.0.2'
    router.setRules(routerRules(kind, { host: hostAddress, outside }))
    if (options.hasV6 === true) this.#addV6(number, host, router)
    const routers = outer === router ? [router] : [router, outer]
    return { kind, host, router, routers, outside: wan ?? '' }
  }

  /** The site's router maps ports on request. */
  startMapping({ router }: Site, protocol: MappingProtocol): void {
    const isUpnp = protocol === 'upnp'
    router.addRules(MAPPING_RULES)
    const path = join(this.directory, `${router.name}.upnp`)
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

  /** What the router maps, as its rules tell it. */
  mappings({ router }: Site): string {
    return router.runSync('nft', 'list', 'chain', 'inet', 'mapped', 'prerouting_miniupnpd')
  }

  /** The site's router keeps no more than so many sessions at once. */
  limitSessions({ router }: Site, count: number): void {
    router.addRules(sessionRules(count))
  }

  /** Packets that would have begun one more. */
  refusedSessions({ router }: Site): number {
    const text = router.runSync('nft', '-j', 'list', 'counter', 'ip', 'sessions', 'refused')
    const { nftables } = JSON.parse(text) as { nftables: { counter?: { packets: number } }[] }
    return nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? 0
  }

  /** Undefined mends it. */
  setFault(site: Site, fault: Fault | undefined, extraRules = ''): void {
    const rules = fault === undefined ? '' : `${extraRules}\n${FAULT_RULES[fault]}`
    for (const family of ['ip', 'ip6']) {
      site.router.runSync('nft', 'add', 'table', family, 'fault')
      site.router.runSync('nft', 'delete', 'table', family, 'fault')
    }
    if (fault !== undefined) site.router.addRules(faultRules(rules))
  }

  /** Nothing but TCP to the proxy, which stands beside the hub. */
  allowProxyOnly(site: Site): void {
    const rules = `oifname "wan" ip daddr ${HUB_SECOND_ADDRESS} tcp dport ${PROXY_PORT} accept
      oifname "wan" drop`
    site.router.addRules(faultRules(rules))
  }

  /** What routers remember of connections: forgotten, as when their power was cut. */
  forget(site: Site): void {
    for (const router of site.routers) router.runSync('conntrack', '-F')
  }

  /** The router forgets all connections, and takes other ports from now on. */
  rebind(site: Site): void {
    const rules = routerRules(site.kind, { host: '', outside: site.outside })
    const elsewhere = 'meta l4proto udp masquerade to :20000-30000'
    site.router.setRules(
      rules.replace('oifname "wan" masquerade', `oifname "wan" ${elsewhere}\n oifname "wan" masquerade`),
    )
    this.forget(site)
  }

  /** The machine comes back on another network: another address, another way out. */
  move(site: Site): void {
    const { host, router } = site
    host.ip('link', 'set', 'eth0', 'down')
    const network = '192.168.200'
    router.ip('addr', 'add', `${network}.1/24`, 'dev', 'lan')
    host.ip('addr', 'flush', 'dev', 'eth0')
    host.ip('addr', 'add', `${network}.2/24`, 'dev', 'eth0')
    host.ip('link', 'set', 'eth0', 'up')
    host.ip('route', 'add', 'default', 'via', `${network}.1`)
  }

  startProxy(credentials: string): void {
    this.hub.start([process.execPath, OVERLAY, 'lab', 'proxy', String(PROXY_PORT), credentials])
  }

  /** URL of the proxy for a site. */
  proxyUrl(credentials: string): string {
    return `http://${credentials === '' ? '' : `${credentials}@`}${HUB_SECOND_ADDRESS}:${PROXY_PORT}`
  }

  /** Its daemon is ended with its namespace; what that leaves on this machine's disk goes too. */
  removeTracesOf(interfaceName: string): void {
    this.#interfaceNames.push(interfaceName)
  }

  close(): void {
    for (const namespace of this.#namespaces.splice(0).reverse()) namespace.close()
    const names = new Set(this.#interfaceNames.splice(0))
    for (const directory of TRACE_DIRECTORIES) {
      const files = existsSync(directory) ? readdirSync(directory) : []
      for (const file of files.filter((name) => names.has(name.split('.')[0] ?? ''))) {
        rmSync(join(directory, file), { force: true })
      }
    }
    rmSync(this.directory, { recursive: true, force: true })
  }

  #create(label: string): Namespace {
    const namespace = new Namespace(this.#prefix + label)
    this.#namespaces.push(namespace)
    return namespace
  }

  /** A second translation, with addresses of RFC 6598 between. Gives the carrier's router. */
  #addCarrier(number: number, router: Namespace): Namespace {
    const carrier = this.#create(`carrier${number}`)
    connect(
      { in: carrier, name: 'lan', addresses: ['100.64.0.1/24'] },
      { in: router, name: 'wan', addresses: ['100.64.0.2/24'] },
    )
    router.ip('route', 'add', 'default', 'via', '100.64.0.1')
    return carrier
  }

  #addV6(number: number, host: Namespace, router: Namespace): void {
    const net = `2001:db8:${number}`
    router.ip('addr', 'add', `${net}:1::1/64`, 'dev', 'lan', 'nodad')
    host.ip('addr', 'add', `${net}:1::2/64`, 'dev', 'eth0', 'nodad')
    host.ip('-6', 'route', 'add', 'default', 'via', `${net}:1::1`)
    router.ip('addr', 'add', `${net}:ff::2/64`, 'dev', 'wan', 'nodad')
    this.#core.ip('addr', 'add', `${net}:ff::1/64`, 'dev', `site${number}`, 'nodad')
    router.ip('-6', 'route', 'add', 'default', 'via', `${net}:ff::1`)
    this.#core.ip('-6', 'route', 'add', `${net}:1::/64`, 'via', `${net}:ff::2`)
    router.addRules(
      `table ip6 lab {
        chain pass {
          type filter hook forward priority 0
          ct state established,related accept
          iifname "wan" drop
        }
      }`,
    )
  }

  /** All that crosses the core goes into the delay line first, and from there to where it belongs. */
  async #delay({ rttMs, lossPercent }: InternetOptions): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const words = [
        process.execPath,
        OVERLAY,
        'lab',
        'delay',
        DELAY_LINK,
        String(rttMs / 2),
        String(lossPercent),
      ]
      const child = this.#core.start(words, (line) => {
        if (line === 'ready') resolve()
      })
      child.once('exit', () => reject(new Error('the delay line ended')))
    })
    this.#core.ip('link', 'set', DELAY_LINK, 'up')
    for (const family of ['-4', '-6']) {
      this.#core.ip(family, 'rule', 'add', 'iif', DELAY_LINK, 'lookup', 'main', 'priority', '10')
      this.#core.ip(family, 'rule', 'add', 'iif', 'lo', 'lookup', 'main', 'priority', '11')
      this.#core.ip(family, 'route', 'add', 'default', 'dev', DELAY_LINK, 'table', DELAY_TABLE)
      this.#core.ip(family, 'rule', 'add', 'lookup', DELAY_TABLE, 'priority', '20')
    }
  }
}
