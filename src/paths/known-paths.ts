/** The proven paths to one peer, best known to those who choose: bounded, and forgotten when they fall silent. */

import { formatEndpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import { PATH_KINDS, type PathKind } from './candidates.js'
import { DataProof } from './data-proof.js'
import { HandshakeRoute } from './handshake-route.js'
import { MAX_KEEPALIVE_MS } from './keepalive.js'
import { PathTrial, type TrialPace } from './path-trial.js'

const MAX_PATHS = 16
/**
 * A path that is not in use, and over which the peer says nothing either, is forgotten. The peer may use it,
 * and say so as seldom as its own NAT allows.
 */
const PATH_LIFETIME_MS: number = MAX_KEEPALIVE_MS + 25_000
/** A path of the same kind must be faster by this to be moved to. */
const MIN_GAIN = 0.8
const MIN_GAIN_MS = 5
/** Weight of the latest ping in what is known of loss. */
const LOSS_WEIGHT = 0.2
/** Of pings as long as a full datagram. */
export const WIDTH_PACE: TrialPace = { intervalMs: 300, intervalRtts: 3 }

export interface KnownPath {
  key: string
  path: Path
  kind: PathKind
  rttMs: number
  lastPongMs: number
  /** A pong or a ping of the peer: it may send its data there. */
  lastHeardMs: number
  /** Of pings, of the last few: 0 to 1. */
  loss: number
  /** Whether full datagrams come through. */
  readonly width: PathTrial
  /** Whether the peer gets data. */
  readonly proof: DataProof
  readonly handshakes: HandshakeRoute
}

export class KnownPaths {
  readonly #paths = new Map<string, KnownPath>()

  get all(): KnownPath[] {
    return [...this.#paths.values()]
  }

  get(path: Path): KnownPath | undefined {
    return this.#paths.get(keyOf(path))
  }

  /** An answer came over it. `kind`: if it is new. Gives the path, and one that gave way. */
  proven(
    path: Path,
    kind: PathKind,
    rttMs: number,
    nowMs: number,
    keep: KnownPath | undefined,
  ): { readonly known: KnownPath; readonly dropped: KnownPath | undefined } {
    const before = this.get(path)
    const dropped = before === undefined && this.#paths.size >= MAX_PATHS ? this.#oldest(keep) : undefined
    if (dropped !== undefined) this.drop(dropped)
    const known = before ?? {
      key: keyOf(path),
      path,
      kind,
      rttMs,
      lastPongMs: nowMs,
      lastHeardMs: nowMs,
      loss: 0,
      width: new PathTrial(WIDTH_PACE),
      proof: new DataProof(),
      handshakes: new HandshakeRoute(),
    }
    this.#paths.set(known.key, known)
    known.path = path
    known.rttMs = smooth(before?.rttMs, rttMs)
    known.lastPongMs = nowMs
    known.lastHeardMs = nowMs
    known.loss *= 1 - LOSS_WEIGHT
    return { known, dropped }
  }

  /** A ping over it was not answered. */
  lost(key: string): void {
    const known = this.#paths.get(key)
    if (known !== undefined) known.loss = (1 - LOSS_WEIGHT) * known.loss + LOSS_WEIGHT
  }

  drop(path: KnownPath): void {
    this.#paths.delete(path.key)
  }

  /** Those over which nothing was heard for long; `keep` stays. */
  silent(nowMs: number, keep: KnownPath | undefined): KnownPath[] {
    return this.all.filter((path) => path !== keep && nowMs - path.lastHeardMs > PATH_LIFETIME_MS)
  }

  over(socket: number): KnownPath[] {
    return this.all.filter(({ path }) => path.socket === socket)
  }

  /** A socket has another number now. Gives the paths over it. */
  renumber(before: number, after: number): KnownPath[] {
    const moved = this.over(before)
    for (const known of moved) {
      this.#paths.delete(known.key)
      known.path = { ...known.path, socket: after }
      known.key = keyOf(known.path)
      this.#paths.set(known.key, known)
    }
    return moved
  }

  #oldest(keep: KnownPath | undefined): KnownPath | undefined {
    const others = this.all.filter((path) => path !== keep)
    return others.reduce<KnownPath | undefined>(
      (oldest, path) => (oldest === undefined || path.lastPongMs < oldest.lastPongMs ? path : oldest),
      undefined,
    )
  }
}

/** Nearer kinds win unless they are much slower; among equals the faster one, if it is so clearly. */
export function isBetter(candidate: KnownPath, active: KnownPath): boolean {
  const order = PATH_KINDS.indexOf(candidate.kind) - PATH_KINDS.indexOf(active.kind)
  if (order < 0) return candidate.rttMs < 2 * active.rttMs + 30
  if (order > 0) return 2 * candidate.rttMs + 30 < active.rttMs
  return candidate.rttMs < MIN_GAIN * active.rttMs && candidate.rttMs + MIN_GAIN_MS < active.rttMs
}

export function smooth(before: number | undefined, sample: number): number {
  return before === undefined ? sample : 0.75 * before + 0.25 * sample
}

export function keyOf(path: Path): string {
  return `${path.socket} ${formatEndpoint(path.remote)}`
}
