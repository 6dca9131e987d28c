/**
 * Bytes of a UAPI connection -> requests. Takes any chunking; keeps at most one partial line and the
 * values of one set operation.
 *
 * A request is `get=1` or `set=1`, lines of `key=value`, and an empty line. After a wrong line the
 * rest of its request is skipped and the next one is read as usual. A line or request beyond its
 * bound ends the connection: nothing after it can be trusted to be in step.
 */

import type { DeviceUpdate } from '../wireguard/configuration.js'
import { MAX_PEERS } from '../wireguard/constants.js'
import { type ScopeIdOf, UapiSet } from './uapi-set.js'

export type UapiOperation = 'get' | 'set'

export type UapiRequest =
  | { readonly kind: 'get' }
  | { readonly kind: 'set'; readonly update: DeviceUpdate }
  | {
      readonly kind: 'invalid'
      readonly operation: UapiOperation
      /** Linux errno, positive. */
      readonly errno: number
      /** Safe to log. */
      readonly reason: string
      /** Answer, then close: nothing more is read. */
      readonly isFatal: boolean
    }

export const UAPI_MAX_LINE_BYTES = 4096
const REQUEST_LIMITS: RequestLimits = {
  // Room for all peers with a preshared key, an endpoint and several allowed IPs each.
  bytes: 32 * 1024 * 1024,
  // Every peer replaced by another.
  peers: 2 * MAX_PEERS,
}

const EINVAL = 22
const EFBIG = 27
const EPROTO = 71
const LINE_FEED = 0x0a

interface RequestLimits {
  readonly bytes: number
  readonly peers: number
}

interface OpenRequest {
  readonly operation: UapiOperation
  readonly set: UapiSet
  fault: { readonly errno: number; readonly reason: string } | undefined
}

export class UapiRequestParser {
  readonly #limits: RequestLimits
  readonly #scopeIdOf: ScopeIdOf
  /** Start of a line whose end has not come. */
  #partial: Uint8Array = new Uint8Array(0)
  #request: OpenRequest | undefined
  #requestBytes = 0
  #isDead = false

  constructor(scopeIdOf: ScopeIdOf, limits: RequestLimits = REQUEST_LIMITS) {
    this.#scopeIdOf = scopeIdOf
    this.#limits = limits
  }

  /** Gives the requests that `chunk` completes. `chunk` is not kept. */
  push(chunk: Uint8Array): UapiRequest[] {
    const requests: UapiRequest[] = []
    let at = 0
    while (at < chunk.length && !this.#isDead) {
      const end = chunk.indexOf(LINE_FEED, at)
      const stop = end < 0 ? chunk.length : end
      const isWithinBounds = this.#extendLine(chunk.subarray(at, stop))
      const finished = isWithinBounds ? end >= 0 && this.#takeLine() : this.#giveUp()
      if (finished) requests.push(finished)
      at = stop + 1
    }
    return requests
  }

  /** False if the line or the request is too long with it. */
  #extendLine(bytes: Uint8Array): boolean {
    this.#requestBytes += bytes.length
    if (this.#partial.length + bytes.length > UAPI_MAX_LINE_BYTES) return false
    if (this.#requestBytes > this.#limits.bytes) return false
    const line = new Uint8Array(this.#partial.length + bytes.length)
    line.set(this.#partial, 0)
    line.set(bytes, this.#partial.length)
    this.#partial.fill(0)
    this.#partial = line
    return true
  }

  #giveUp(): UapiRequest {
    this.#isDead = true
    const operation = this.#request?.operation ?? 'set'
    this.#partial = new Uint8Array(0)
    this.#request = undefined
    return { kind: 'invalid', operation, errno: EFBIG, reason: 'line or request too long', isFatal: true }
  }

  /** Handles the finished line; gives the request that it ends. */
  #takeLine(): UapiRequest | undefined {
    const line = String.fromCharCode(...this.#partial)
    // Lines hold keys: they do not stay in memory longer than they must.
    this.#partial.fill(0)
    this.#partial = new Uint8Array(0)
    const request = this.#request
    if (request === undefined) this.#openRequest(line)
    else if (line === '') return this.#closeRequest(request)
    else request.fault ??= takeSetting(request, line)
    return undefined
  }

  #openRequest(line: string): void {
    this.#requestBytes = 0
    if (line === '') return
    const set = new UapiSet(this.#scopeIdOf, this.#limits.peers)
    if (line === 'get=1') this.#request = { operation: 'get', set, fault: undefined }
    else {
      const fault = line === 'set=1' ? undefined : { errno: EPROTO, reason: 'unknown operation' }
      this.#request = { operation: 'set', set, fault }
    }
  }

  #closeRequest({ operation, set, fault }: OpenRequest): UapiRequest {
    this.#request = undefined
    this.#requestBytes = 0
    if (fault !== undefined) return { kind: 'invalid', operation, ...fault, isFatal: false }
    return operation === 'get' ? { kind: 'get' } : { kind: 'set', update: set.finish() }
  }
}

function takeSetting(request: OpenRequest, line: string): OpenRequest['fault'] {
  const equals = line.indexOf('=')
  if (equals < 0) return { errno: EPROTO, reason: 'line without =' }
  if (request.operation === 'get') return { errno: EINVAL, reason: 'get takes no settings' }
  const reason = request.set.handleLine(line.slice(0, equals), line.slice(equals + 1))
  return reason === undefined ? undefined : { errno: EINVAL, reason }
}
