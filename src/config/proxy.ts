/**
 * The HTTP proxy that the environment names, by the usual variables. Lower case wins, as with curl; a
 * variable that is set but empty switches it off.
 *
 * The credentials in it are secrets: they are no part of what this gives, nor of any message.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { HostEndpoint } from '../net/endpoint.js'
import { tryParseHostEndpoint } from '../net/endpoint.js'
import type { HttpProxy } from '../net/http-proxy.js'

/** In the order in which they count. */
const VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'] as const
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

export interface ProxySettings {
  /** The variable it comes from. */
  readonly variable: string
  readonly endpoint: HostEndpoint
  readonly needsCredentials: boolean
}

/** Undefined if there is none. Throws AppError if what is there is no proxy that HTTP can use. */
export function proxyFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): ProxySettings | undefined {
  const variable = VARIABLES.find((name) => environment[name] !== undefined)
  const text = variable === undefined ? '' : (environment[variable] ?? '').trim()
  if (variable === undefined || text === '') return undefined
  const proxy = tryParseProxy(text)
  if (proxy !== undefined) {
    return { variable, endpoint: proxy.endpoint, needsCredentials: proxy.credentials !== '' }
  }
  throw new AppError(ERROR_CODES.config, `the variable ${variable} names no HTTP proxy`, {
    hint: 'write http://host:port or http://user:password@host:port, or unset it',
  })
}

/** With its credentials, for whoever connects: from the file if it names one, else from the environment. */
export function proxyAccess(
  configured: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): HttpProxy | undefined {
  if (configured !== undefined) return tryParseProxy(configured)
  const settings = proxyFromEnvironment(environment)
  return settings && tryParseProxy((environment[settings.variable] ?? '').trim())
}

function tryParseProxy(text: string): HttpProxy | undefined {
  const url = tryParseUrl(text.includes('://') ? text : `http://${text}`)
  const defaultPort = url && DEFAULT_PORTS[url.protocol]
  const endpoint =
    url && defaultPort && tryParseHostEndpoint(`${url.hostname}:${url.port === '' ? defaultPort : url.port}`)
  if (!url || !endpoint) return undefined
  const words = url.username === '' ? [] : [url.username, url.password].map(decodeURIComponent)
  return { endpoint, isTls: url.protocol === 'https:', credentials: words.join(':') }
}

function tryParseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
