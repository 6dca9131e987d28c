/** `overlay netcheck` as text for people: what was seen, and what it means for reaching others. Pure. */

import type { RelaySummary } from '../daemon/local-api-schema.js'
import type { FamilyReport, NetcheckReport, ProxyReport, RouterReport } from '../daemon/netcheck.js'
import type { Filtering, Mapping, PortChoice } from '../paths/nat.js'

const MAPPINGS: Readonly<Record<Mapping, string>> = {
  none: 'none: the address is this machine’s own',
  endpointIndependent: 'easy: one external port for all destinations (endpoint-independent)',
  addressDependent: 'hard: another external port for each destination address (address-dependent)',
  addressAndPortDependent:
    'hard: another external port for each destination (address-and-port-dependent, “symmetric”)',
  unknown: 'not known: it takes two servers, or one with two addresses',
}

const FILTERINGS: Readonly<Record<Filtering, string>> = {
  endpointIndependent: 'open: anybody reaches a port that is in use',
  addressDependent: 'by address: answers come from addresses that were sent to',
  addressAndPortDependent: 'strict: answers come only from the address and port that was sent to',
  unknown: 'not known: it takes a server with two addresses',
}

/** `relays`: of the network, if its servers were asked. */
export function formatNetcheck(report: NetcheckReport, relays: readonly RelaySummary[] = []): string {
  const { ipv4, ipv6, router, proxy } = report
  const lines = [...familyLines('IPv4', ipv4), ...familyLines('IPv6', ipv6)]
  if (router !== null) lines.push(describeRouter(router))
  if (proxy !== null) lines.push(describeProxy(proxy))
  for (const relay of relays) lines.push(describeRelay(relay))
  return lines.join('\n')
}

function describeRelay({ host, port, isConnected, isHome, way, rttMs, fault }: RelaySummary): string {
  const rtt = rttMs === null ? '' : `, ${rttMs} ms`
  const reach = isConnected ? `connected by ${way}${rtt}${isHome ? ', home' : ''}` : `not connected: ${fault}`
  return `relay ${host}:${port}: ${reach}`
}

function describeProxy({ endpoint, variable, needsCredentials, connectMs }: ProxyReport): string {
  const reach = connectMs === null ? 'takes no connection' : `takes connections, in ${connectMs} ms`
  return `proxy ${endpoint}, from ${variable}${needsCredentials ? ' with credentials' : ''}: ${reach}`
}

function describeRouter({ address, pcp, natPmp, upnp, external }: RouterReport): string {
  const spoken = [pcp && 'PCP', natPmp && 'NAT-PMP', upnp && 'UPnP'].filter((name) => name !== false)
  if (spoken.length === 0) return `router ${address}: maps no ports on request`
  const known = external === null ? '' : `; it says its external address is ${external}`
  return `router ${address}: maps ports on request, by ${spoken.join(', ')}${known}`
}

function familyLines(name: string, report: FamilyReport | null): string[] {
  if (report === null) return [`${name}: not asked: no server with such an address, or none here`]
  if (!report.udp) {
    const servers = report.servers.map(({ endpoint }) => endpoint).join(', ')
    return [`${name}: UDP does not come through, or nobody answers at ${servers}`]
  }
  const rows: [string, string][] = [
    ['seen as', report.mapped ?? 'not known: no server has said it'],
    ['NAT', MAPPINGS[report.mapping]],
    ['filtering', FILTERINGS[report.filtering]],
  ]
  if (report.ports !== null) rows.push(['ports', describePorts(report.ports)])
  if (report.hairpin !== null) rows.push(['hairpin', report.hairpin ? 'yes' : 'no'])
  for (const { endpoint, rttMs, fault } of report.servers) {
    const silence = fault === null ? 'does not answer' : `does not answer as it should: ${fault}`
    rows.push(['server', `${endpoint} ${rttMs === null ? silence : `answers in ${rttMs} ms`}`])
  }
  const heading = `${name}: UDP works${report.isStunDropped ? '; a firewall here drops STUN, so servers were asked in another form' : ''}`
  return [heading, ...rows.map(([title, text]) => `  ${`${title}:`.padEnd(11)}${text}`)]
}

function describePorts(ports: PortChoice): string {
  return ports.kind === 'sequential'
    ? `in order, each ${ports.step} above the one before`
    : `at random from ${ports.low} to ${ports.high}`
}
