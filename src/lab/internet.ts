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

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect, Namespace } from './namespace.js'
import { FAULT_RULES, type Fault, faultRules, type RouterKind, routerRules, sessionRules } from './routers.js'
import {
  addMachine,
  buildSite,
  limitUplink,
  type MappingProtocol,
  renumber,
  type Site,
  type SiteOptions,
  startMappingDaemon,
} from './site.js'

export const HUB_ADDRESS = '203.0.113.1'
const PROXY_PORT = 3128
const HUB_SECOND_ADDRESS = '203.0.113.2'
const HUB_V6 = '2001:db8::1'
/** With commas: two of IPv4, which tell every kind of NAT. */
export const STUN_ADDRESSES: string = [HUB_ADDRESS, HUB_SECOND_ADDRESS, HUB_V6].join()
const OVERLAY = fileURLToPath(new URL('../../bin/overlay', import.meta.url))
/** The core stands for many routers: what is to live for a few hops gets no farther. */
const FAR_RULES = `table ip far {
  chain pass {
    type filter hook forward priority 0
    ip ttl < 10 drop
  }
}`
/** Longer than any try. */
const FLOWS_S = 60
const DELAY_LINK = 'delay0'
const DELAY_TABLE = '100'

/** Namespaces share the file system: journals, sockets, logs and netmaps of daemons that were killed. */
const TRACE_DIRECTORIES = ['/run/overlay', '/var/run/wireguard', '/var/log/overlay', '/var/lib/overlay']

let made = 0

export interface InternetOptions {
  readonly rttMs: number
  readonly lossPercent: number
}

export class Internet {
  readonly directory: string
  readonly hub: Namespace
  readonly #core: Namespace
  readonly #prefix: string
  readonly #namespaces: Namespace[] = []
  readonly #interfaceNames: string[] = []
  #sites = 0
  #machines = 0

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
  addSite(kind: RouterKind, options: SiteOptions = {}): Site {
    this.#sites += 1
    const site = buildSite(
      { number: this.#sites, core: this.#core, create: (label) => this.#create(label) },
      kind,
      options,
    )
    if (options.uplinkMbit !== undefined) limitUplink(site, options.uplinkMbit)
    return site
  }

  /** One more machine behind the router of a site, which lets it out as it does the first. */
  addMachine(site: Site): Site {
    this.#machines += 1
    return addMachine(site, this.#machines, (label) => this.#create(label))
  }

  /** The site's router maps ports on request. */
  startMapping(site: Site, protocol: MappingProtocol): void {
    startMappingDaemon(site, protocol, this.directory)
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

  /** No site reaches another; the hub is reached as before. */
  setDirectCut(isCut: boolean): void {
    const rules = ['ip', 'ip6'].map((family) => `table ${family} cut {}\ndelete table ${family} cut`)
    if (isCut) rules.push(cutTable('ip', '203.0.113.0/24'), cutTable('ip6', '2001:db8::/64'))
    this.#core.addRules(rules.join('\n'))
  }

  /** Nothing but TCP to the proxy, which stands beside the hub. */
  allowProxyOnly(site: Site): void {
    const rules = `oifname "wan" ip daddr ${HUB_SECOND_ADDRESS} tcp dport ${PROXY_PORT} accept
      oifname "wan" drop`
    site.router.addRules(faultRules(rules))
  }

  /** What routers remember of connections: forgotten, as when their power was cut. */
  forget(site: Site): void {
    this.#whileHeld(site, () => undefined)
  }

  /** The router forgets all connections, TCP too, and takes other ports from now on. */
  rebind(site: Site): void {
    const rules = routerRules(site.kind, { host: site.address, outside: site.outside })
    const elsewhere = 'meta l4proto udp masquerade to :20000-30000'
    this.#whileHeld(site, () => {
      site.router.setRules(
        rules.replace('oifname "wan" masquerade', `oifname "wan" ${elsewhere}\n oifname "wan" masquerade`),
      )
    })
  }

  /** The router has another public address, and has forgotten all connections. */
  renumber(site: Site): void {
    this.#whileHeld(site, () => renumber(site, this.#core))
  }

  /**
   * Nothing passes meanwhile, and nothing of what was is known afterwards: packets under way would teach a
   * router its old ports again.
   */
  #whileHeld({ routers }: Site, change: () => void): void {
    for (const router of routers) router.runSync('sysctl', '-qw', 'net.ipv4.ip_forward=0')
    change()
    for (const router of routers) {
      router.runSync('conntrack', '-F')
      router.runSync('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    }
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

  /** Others behind the site's router, to the hub's machine; they end by themselves, or when told to. */
  startFlows({ host }: Site, perSecond: number): () => void {
    if (perSecond === 0) return () => undefined
    const words = ['lab', 'flows', HUB_SECOND_ADDRESS, String(perSecond), String(FLOWS_S)]
    const child = host.start([process.execPath, OVERLAY, ...words])
    return () => child.kill('SIGKILL')
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

function cutTable(family: 'ip' | 'ip6', hubNetwork: string): string {
  return `table ${family} cut {
    chain pass {
      type filter hook forward priority 0
      oifname "site*" ${family} saddr != ${hubNetwork} drop
    }
  }`
}
