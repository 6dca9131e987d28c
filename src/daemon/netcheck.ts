/**
 * Drives surveys over real sockets: what stands between this machine and the world. One of the NAT for
 * each family, and one of the router. Needs no privilege and no running tunnel.
 */

import { randomBytes } from 'node:crypto'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { ProxySettings } from '../config/proxy.js'
import { type Endpoint, formatEndpoint, formatHostEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { GatewaySurvey } from '../paths/gateway-survey.js'
import type { Filtering, Mapping, PortChoice } from '../paths/nat.js'
import { NatSurvey, type SurveyReport } from '../paths/nat-survey.js'
import { bootNowMs } from '../platform/clock.js'
import { routeTo } from '../platform/network.js'
import { timeTcpConnect } from '../platform/tcp-reach.js'
import { driveSurvey, ownAddresses } from './drive-survey.js'
import { codeOf, describeFailure } from './endpoint-resolver.js'
import { resolveServers } from './resolve-servers.js'

/** What is known of one family of addresses. */
export interface FamilyReport {
  /** Whether anything came back over UDP. */
  readonly udp: boolean
  /** The network here knows STUN and drops it: what follows was found out by questions under a veil. */
  readonly isStunDropped: boolean
  /** `address:port` as the world saw it, or null. */
  readonly mapped: string | null
  readonly mapping: Mapping
  readonly filtering: Filtering
  readonly ports: PortChoice | null
  readonly hairpin: boolean | null
  readonly servers: readonly {
    readonly endpoint: string
    /** Null if it did not answer. */
    readonly rttMs: number | null
    /** What came instead of an answer, or null. */
    readonly fault: string | null
  }[]
}

/** What the next router speaks. */
export interface RouterReport {
  readonly address: string
  readonly pcp: boolean
  readonly natPmp: boolean
  readonly upnp: boolean
  /** The external address as the router says, or null. */
  readonly external: string | null
}

/** The HTTP proxy of the environment. */
export interface ProxyReport {
  readonly endpoint: string
  /** The variable that names it. */
  readonly variable: string
  readonly needsCredentials: boolean
  /** Until it took a connection; null if it did not. */
  readonly connectMs: number | null
}

export interface NetcheckReport {
  /** Null if no server has an address of this family, or this machine has none. */
  readonly ipv4: FamilyReport | null
  readonly ipv6: FamilyReport | null
  /** Null if there is no router on the way to the IPv4 servers. */
  readonly router: RouterReport | null
  /** Null if the environment names none. */
  readonly proxy: ProxyReport | null
}

const PROXY_TIMEOUT_MS = 3000

/** Throws AppError naming each server that cannot be resolved. */
export async function runNetcheck(
  servers: readonly HostEndpoint[],
  proxySettings: ProxySettings | undefined,
): Promise<NetcheckReport> {
  const endpoints = await resolveAll(servers)
  const ofFamily = (family: 4 | 6) => endpoints.filter(({ address }) => address.family === family)
  const [ipv4, ipv6, router, proxy] = await Promise.all([
    surveyFamily(4, ofFamily(4)),
    surveyFamily(6, ofFamily(6)),
    surveyRouter(ofFamily(4)[0]),
    checkProxy(proxySettings),
  ])
  return { ipv4, ipv6, router, proxy }
}

async function checkProxy(settings: ProxySettings | undefined): Promise<ProxyReport | null> {
  if (settings === undefined) return null
  const { endpoint, variable, needsCredentials } = settings
  const connectMs = await timeTcpConnect(endpoint, { timeoutMs: PROXY_TIMEOUT_MS, nowMs: bootNowMs })
  return {
    endpoint: formatHostEndpoint(endpoint),
    variable,
    needsCredentials,
    connectMs: connectMs === undefined ? null : roundMs(connectMs),
  }
}

/** To a tenth: more would be noise. */
function roundMs(ms: number): number {
  return Math.round(ms * 10) / 10
}

/** Of the router on the way to `server`. */
async function surveyRouter(server: Endpoint | undefined): Promise<RouterReport | null> {
  const route = server && routeTo(server.address)
  if (route?.gateway?.family !== 4 || route.source === undefined) return null
  const survey = new GatewaySurvey({ gateway: route.gateway, ownAddress: route.source })
  await driveSurvey(survey, 4)
  const { external, ...protocols } = survey.report()
  const address = formatIp(route.gateway)
  return { address, ...protocols, external: external === undefined ? null : formatIp(external) }
}

async function resolveAll(servers: readonly HostEndpoint[]): Promise<Endpoint[]> {
  const failures: string[] = []
  const endpoints = await resolveServers(servers, {
    onFailure: (server, error) => {
      failures.push(`cannot resolve ${formatHostEndpoint(server)}: ${describeFailure(codeOf(error))}`)
    },
  })
  if (failures.length === 0) return endpoints
  const hint = 'check the name and the name servers: getent hosts NAME'
  throw new AppError(ERROR_CODES.platform, failures.join('\n'), { hint })
}

async function surveyFamily(family: 4 | 6, servers: readonly Endpoint[]): Promise<FamilyReport | null> {
  if (servers.length === 0) return null
  const plain = await surveyServers(family, servers, false)
  if (plain === null) return null
  const veiled = plain.isHeard ? null : await surveyServers(family, servers, true)
  const isStunDropped = veiled?.isHeard === true
  const report = isStunDropped ? veiled : plain
  return {
    udp: report.isHeard,
    isStunDropped,
    mapped: report.mapped === undefined ? null : formatEndpoint(report.mapped),
    mapping: report.mapping,
    filtering: report.filtering,
    ports: report.ports ?? null,
    hairpin: report.hairpin ?? null,
    servers: report.servers.map(({ server, rttMs, fault }) => ({
      endpoint: formatEndpoint(server),
      rttMs: rttMs === undefined ? null : roundMs(rttMs),
      fault: fault ?? null,
    })),
  }
}

/** Null if this machine lacks the family. */
async function surveyServers(
  family: 4 | 6,
  servers: readonly Endpoint[],
  isVeiled: boolean,
): Promise<SurveyReport | null> {
  const survey = new NatSurvey({
    servers,
    ownAddresses: ownAddresses(),
    random: (length) => new Uint8Array(randomBytes(length)),
  })
  return (await driveSurvey(survey, family, { isVeiled })) ? survey.report() : null
}
