/**
 * Host names of peers -> endpoints: at start with patience, because at boot the network may come
 * after us, and again later, one peer at a time, when its handshakes get no answer.
 *
 * A name that does not exist fails at once; a name server that does not answer is asked again, as
 * often and at the same growing intervals as `wg` does it.
 */

import { lookup } from 'node:dns/promises'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Endpoint, HostEndpoint } from '../net/endpoint.js'
import { formatHostEndpoint } from '../net/endpoint.js'
import { tryParseIp } from '../net/ip.js'
import { tryFindLink } from '../platform/network.js'

const MAX_RETRIES = 15
const FIRST_RETRY_MS = 1000
const RETRY_GROWTH = 1.2

/** Asks for one name; throws an error with a `code` such as `ENOTFOUND` or `EAI_AGAIN`. */
export type LookUpHost = (host: string) => Promise<string>

export interface ResolverOptions {
  readonly lookUp?: LookUpHost
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

/** The endpoint, or why there is none. */
async function resolvePatiently(host: HostEndpoint, options: ResolverOptions): Promise<Endpoint | string> {
  const { lookUp, signal, onDelay, sleep = sleepFor } = options
  let delayMs = FIRST_RETRY_MS
  for (let retry = 0; ; retry++) {
    try {
      return await resolveEndpoint(host, lookUp)
    } catch (error) {
      const code = codeOf(error)
      const isFinal = code !== 'EAI_AGAIN' || retry === MAX_RETRIES || signal?.aborted === true
      if (isFinal) return `cannot resolve ${formatHostEndpoint(host)}: ${describeFailure(code)}`
      if (retry === 0) onDelay?.(`no name server answers for ${formatHostEndpoint(host)}; asking again`)
    }
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

/** One try. */
export async function resolveEndpoint(
  host: HostEndpoint,
  lookUp: LookUpHost = lookUpHost,
): Promise<Endpoint> {
  const [literal = '', zone] = host.host.split('%')
  const address = tryParseIp(literal)
  if (address !== undefined) return { address, port: host.port, scopeId: scopeOf(zone) }
  const found = tryParseIp(await lookUp(host.host))
  if (found === undefined) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
  return { address: found, port: host.port, scopeId: 0 }
}

/** Whether the host is a name, whose address may change. */
export function isHostName(host: HostEndpoint): boolean {
  return tryParseIp(host.host.split('%')[0] ?? '') === undefined
}

async function lookUpHost(host: string): Promise<string> {
  return (await lookup(host)).address
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
