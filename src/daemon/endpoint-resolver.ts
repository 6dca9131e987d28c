/**
 * Host names of peers -> endpoints. At boot the network may come after us, so a start waits for them a little
 * (unresolved-names.ts goes on then), or with patience if it cannot go on without. Later they are asked for again,
 * one peer at a time, when its handshakes get no answer.
 *
 * A name that does not exist fails at once; a name server that does not answer is asked again, as
 * often and at the same growing intervals as `wg` does it. Of several addresses those come first to which
 * this machine has a route.
 */

import { lookup } from 'node:dns/promises'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Endpoint, HostEndpoint } from '../net/endpoint.js'
import { formatHostEndpoint } from '../net/endpoint.js'
import { type IpAddress, tryParseIp } from '../net/ip.js'
import { routeTo, tryFindLink } from '../platform/network.js'

const MAX_RETRIES = 15
const FIRST_RETRY_MS = 1000
const RETRY_GROWTH = 1.2

/** All addresses of one name; throws an error with a `code` such as `ENOTFOUND` or `EAI_AGAIN`. */
type LookUpHost = (host: string) => Promise<readonly string[]>

export interface LookUpOptions {
  readonly lookUp?: LookUpHost
  readonly hasRoute?: (address: IpAddress) => boolean
}

export interface ResolverOptions extends LookUpOptions {
  readonly sleep?: (ms: number) => Promise<void>
  readonly signal?: AbortSignal
  /** Called once for each host whose name server does not answer; it is asked again. */
  readonly onDelay?: (text: string) => void
}

/** By `host:port` as formatHostEndpoint writes it. Throws AppError naming each host that failed. */
export async function resolveEndpoints(
  hosts: readonly HostEndpoint[],
  options: ResolverOptions = {},
): Promise<Map<string, Endpoint>> {
  const distinct = new Map(hosts.map((host) => [formatHostEndpoint(host), host]))
  const resolved = new Map<string, Endpoint>()
  const failures: string[] = []
  const tasks = [...distinct].map(async ([text, host]) => {
    const result = await resolvePatiently(host, options)
    if (typeof result === 'string') failures.push(result)
    else resolved.set(text, result)
  })
  await Promise.race([Promise.all(tasks), untilAborted(options.signal)])
  if (options.signal?.aborted === true) throw new AppError(ERROR_CODES.command, 'it was stopped')
  if (failures.length === 0) return resolved
  throw new AppError(ERROR_CODES.platform, failures.join('\n'), {
    hint: 'check the name and the name servers: getent hosts NAME',
  })
}

/** One try of each, which takes `patienceMs` at most: what was found, and why the others were not. By `host:port`. */
export async function tryResolveEndpoints(
  hosts: readonly HostEndpoint[],
  patienceMs: number,
  options: LookUpOptions & Pick<ResolverOptions, 'signal'> = {},
): Promise<{ endpoints: Map<string, Endpoint>; unresolved: Map<string, string> }> {
  const distinct = new Map(hosts.map((host) => [formatHostEndpoint(host), host]))
  const endpoints = new Map<string, Endpoint>()
  const unresolved = new Map([...distinct.keys()].map((text) => [text, describeFailure('EAI_AGAIN')]))
  const tries = [...distinct].map(async ([text, host]) => {
    const result = await tryResolve(host, options)
    if (typeof result === 'string') unresolved.set(text, describeFailure(result))
    else if (unresolved.delete(text)) endpoints.set(text, result)
  })
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), patienceMs)
  await Promise.race([Promise.all(tries), untilAborted(patience.signal), untilAborted(options.signal)])
  clearTimeout(timer)
  // What is answered later than this is not to change what was given.
  return { endpoints: new Map(endpoints), unresolved: new Map(unresolved) }
}

/** The best endpoint, or the code of the failure. */
export async function tryResolve(
  host: HostEndpoint,
  options: LookUpOptions = {},
): Promise<Endpoint | string> {
  try {
    const [first] = await resolveAll(host, options)
    return first
  } catch (error) {
    return codeOf(error)
  }
}

/** The endpoint, or why there is none. */
async function resolvePatiently(host: HostEndpoint, options: ResolverOptions): Promise<Endpoint | string> {
  const { signal, onDelay, sleep = sleepFor } = options
  let delayMs = FIRST_RETRY_MS
  for (let retry = 0; ; retry++) {
    const result = await tryResolve(host, options)
    if (typeof result !== 'string') return result
    const isFinal = result !== 'EAI_AGAIN' || retry === MAX_RETRIES || signal?.aborted === true
    if (isFinal) return `cannot resolve ${formatHostEndpoint(host)}: ${describeFailure(result)}`
    if (retry === 0) onDelay?.(`no name server answers for ${formatHostEndpoint(host)}; asking again`)
    await sleep(delayMs)
    delayMs *= RETRY_GROWTH
  }
}

/** A question to a name server cannot be taken back; but nobody has to wait for its answer. */
async function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal?.aborted === true) resolve()
    else signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** One try. All that the name leads to, the best first. */
export async function resolveAll(
  { host, port }: HostEndpoint,
  { lookUp = lookUpHost, hasRoute = isRouted }: LookUpOptions = {},
): Promise<readonly [Endpoint, ...Endpoint[]]> {
  const [literal = '', zone] = host.split('%')
  const address = tryParseIp(literal)
  if (address !== undefined) return [{ address, port, scopeId: scopeOf(zone) }]
  const found = (await lookUp(host)).flatMap((text) => tryParseIp(text) ?? [])
  const routed = new Set(found.filter(hasRoute))
  const ordered = [...routed, ...found.filter((other) => !routed.has(other))]
  const [first, ...others] = ordered.map((other) => ({ address: other, port, scopeId: 0 }))
  if (first === undefined) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
  return [first, ...others]
}

/** Whether the host is a name, whose address may change. */
export function isHostName(host: HostEndpoint): boolean {
  return tryParseIp(host.host.split('%')[0] ?? '') === undefined
}

async function lookUpHost(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

function isRouted(address: IpAddress): boolean {
  return routeTo(address) !== undefined
}

function scopeOf(zone: string | undefined): number {
  if (zone === undefined) return 0
  const index = /^\d+$/.test(zone) ? Number(zone) : tryFindLink(zone)?.index
  if (index === undefined) throw Object.assign(new Error('no interface'), { code: 'ENODEV' })
  return index
}

/** Code of a failed look-up; throws what is none. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  throw error
}

export function describeFailure(code: string): string {
  if (code === 'ENOTFOUND') return 'there is no such name'
  if (code === 'EAI_AGAIN') return 'no name server answered'
  if (code === 'ENODEV') return 'there is no such interface'
  return code
}

/** Does not hold the process: whoever waits for the outcome does. */
async function sleepFor(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
