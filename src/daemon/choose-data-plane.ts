/**
 * Which data plane carries packets, and how: the native one with all that machine and kernel can do,
 * unless the environment asks for less.
 *
 * | variable | value |
 * | OVERLAY_DATAPLANE | native (default), portable |
 * | OVERLAY_OFFLOADS | on (default), off: one system call per packet and datagram |
 * | OVERLAY_THREADS | threads for each direction, 1 to 16; default: half the cores, 1 to 4 |
 * | OVERLAY_AEAD | a kernel of ChaCha20-Poly1305; default: the fastest this processor can run |
 */

import { availableParallelism } from 'node:os'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { DataPlane, DataPlaneListener } from '../dataplane/contract.js'
import { createNativeDataPlane } from '../dataplane/native/native-data-plane.js'
import { createPortableDataPlane } from '../dataplane/portable/portable-data-plane.js'
import { bootNowMs } from '../platform/clock.js'
import { nativePlaneSource, usableAeads } from '../platform/plane.js'
import type { TunPort } from '../platform/tun.js'
import { openUdp } from '../platform/udp.js'
import type { Crypto } from '../wireguard/crypto.js'

interface DataPlaneRequest {
  /** Opened with `hasOffloads` of the choice. */
  readonly tun: TunPort
  readonly capacity: number
  readonly mtu: number
  readonly listener: DataPlaneListener
}

export interface DataPlaneChoice {
  /** Whether it wants a TUN with offloads. */
  readonly hasOffloads: boolean
  create(request: DataPlaneRequest): DataPlane
}

const MAX_THREADS = 16
const MAX_DEFAULT_THREADS = 4

/** Throws AppError for a value that is not allowed. */
export function chooseDataPlane(environment: NodeJS.ProcessEnv, crypto: Crypto): DataPlaneChoice {
  const kind = pick(environment, 'OVERLAY_DATAPLANE', ['native', 'portable'])
  const hasOffloads = pick(environment, 'OVERLAY_OFFLOADS', ['on', 'off']) === 'on'
  const threads = pickThreads(environment)
  if (kind === 'portable') {
    return {
      hasOffloads: false,
      create: ({ tun, ...rest }) =>
        createPortableDataPlane({ ...rest, inner: tun, openOuterPort: openUdp, crypto, nowMs: bootNowMs }),
    }
  }
  const aead = pickAead(environment)
  return {
    hasOffloads,
    create: ({ tun, ...rest }) =>
      createNativeDataPlane({
        ...rest,
        source: nativePlaneSource(),
        innerFd: tun.fd,
        hasHeaders: hasOffloads,
        hasOffloads,
        aead,
        threads,
      }),
  }
}

function pick<T extends string>(
  environment: NodeJS.ProcessEnv,
  variable: string,
  allowed: readonly [T, ...T[]],
): T {
  const text = environment[variable] ?? allowed[0]
  const value = allowed.find((one) => one === text)
  if (value !== undefined) return value
  throw notAllowed(variable, text, allowed.join(', '))
}

function pickThreads(environment: NodeJS.ProcessEnv): number {
  const text = environment.OVERLAY_THREADS
  if (text === undefined) {
    return Math.min(MAX_DEFAULT_THREADS, Math.max(1, Math.floor(availableParallelism() / 2)))
  }
  const threads = Number(text)
  if (/^\d+$/.test(text) && threads >= 1 && threads <= MAX_THREADS) return threads
  throw notAllowed('OVERLAY_THREADS', text, `1 to ${MAX_THREADS}`)
}

/** Empty for the fastest. */
function pickAead(environment: NodeJS.ProcessEnv): string {
  const name = environment.OVERLAY_AEAD
  if (name === undefined) return ''
  const usable = usableAeads()
  if (usable.includes(name)) return name
  throw notAllowed('OVERLAY_AEAD', name, usable.join(', '))
}

function notAllowed(variable: string, text: string, allowed: string): AppError {
  return new AppError(ERROR_CODES.usage, `${variable} cannot be "${text}"`, { hint: `allowed: ${allowed}` })
}
