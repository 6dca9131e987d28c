/**
 * Through two NATs that both give ports in order. Each side learns its next port from a server and tells the
 * other at which two of the ports after it they are to meet; then fresh sockets write there, all at once. Sans-IO.
 *
 * Of 2 W sockets the k-th leaves from port p + d + k, where p was the next one and d is what others behind the same
 * NAT have taken since; all in units of the NAT's step. Told are p + W - 1 and p + 2 W - 1. Whatever d < W is, the
 * first W sockets pass the former of these and the others the latter. So the first half writes to the other
 * side's former port and the second half to its latter: what leaves from our former port is written to
 * the other's former one and what leaves from that to ours, at any two d, and again with the latter ones. Neither
 * side need know its own d, nor that of the other. The second meeting is for a datagram that gets lost and for a port
 * that somebody else has taken.
 *
 * A round that fails (the NAT began anew at its lowest port, more than W ports were taken) is followed by another. Its
 * ports are others, so to a NAT that looks at them the same sockets are fresh ones. By then it is known how fast others
 * take ports here. So our burst is put off until a fixed time after the question, and what is told is farther on by as
 * many ports as will be taken by then, less W / 2. The bursts of the two sides need not be at the same time.
 *
 * | phase | until |
 * | asking | the server has told the ports of three sockets |
 * | told | the other side has told too |
 * | sent | a path is found, or the round is over |
 */

import type { Path } from '../net/path.js'
import type { HardEffect, HardSearchOptions } from './hard-search.js'
import { ServerQuestions } from './server-questions.js'

/** Both halves: ports of ours that others may take meanwhile, twice. */
export const MEETING_SOCKETS = 64
/** Three tell the step, even if others take a port between two of them. */
const ASKING_SOCKETS = 3
const MAX_ROUNDS = 2
const RESEND_AFTER_MS = 100
/**
 * From one round to the next: both bursts, and a way there and back. It counts from the middle between our question and
 * what the other side tells, which is the same moment there, so that both ask at once in the next round.
 */
const ROUND_MS = 700
const MIN_WAIT_MS = 250
/** From question to burst in a later round: twice as long as it took before, for the other side's may take longer. */
const MAX_DELAY_MS = 600
const LAST_PORT = 65_535

type Ports = readonly [former: number, latter: number]

type Phase =
  | { readonly kind: 'waiting' | 'done' }
  | {
      readonly kind: 'asking'
      readonly ports: Map<number, number>
      readonly sinceMs: number
      nextAskMs: number
    }
  | { readonly kind: 'told'; readonly burstMs: number }
  | { readonly kind: 'sent'; readonly untilMs: number }

/** Where the other side is to be met, and when it told. */
interface Told {
  readonly ports: Ports
  readonly atMs: number
}

/** Ports of ours as a server told them; `askedMs`: when it was asked. */
interface Sequence {
  readonly first: number
  readonly last: number
  readonly step: number
  readonly askedMs: number
}

export class Meeting {
  readonly #options: HardSearchOptions
  readonly #questions: ServerQuestions<number> | undefined
  #sockets: readonly number[] = []
  #phase: Phase = { kind: 'waiting' }
  #rounds = 0
  #theirs: Told | undefined
  /** Of the latest round that got so far. */
  #sequence: Sequence | undefined
  /** From question to burst: as long as it takes in the first round, at least so long in a later one. */
  #delayMs = 0

  /** `theirs`: where the other side is to be met, if it has told by now. */
  constructor(options: HardSearchOptions, theirs: Told | undefined) {
    const { stunServer, random } = options
    this.#options = options
    this.#questions = stunServer && new ServerQuestions(stunServer, random)
    this.#theirs = theirs
  }

  get isDone(): boolean {
    return this.#phase.kind === 'done'
  }

  /** In the past if it is due. */
  nextDeadlineMs(): number {
    const phase = this.#phase
    switch (phase.kind) {
      case 'asking':
        return phase.nextAskMs
      case 'sent':
        return phase.untilMs
      case 'told':
        return this.#theirs === undefined ? Number.POSITIVE_INFINITY : phase.burstMs
      case 'waiting':
      case 'done':
        return Number.POSITIVE_INFINITY
    }
  }

  /** A path is found. What was sent may still be answered. */
  stop(): void {
    this.#phase = { kind: 'waiting' }
  }

  /** Of the burst; to be followed by handleTimeout. */
  handleSockets(sockets: readonly number[], nowMs: number): void {
    this.#sockets = sockets
    this.#startRound(nowMs)
  }

  /** The other side has told. It does so once a round. */
  handlePeerPorts(ports: Ports, atMs: number): void {
    this.#theirs = { ports, atMs }
  }

  handleDatagram(path: Path, bytes: Uint8Array, effects: HardEffect[]): void {
    const answer = this.#questions?.takeAnswer(path, bytes)
    const phase = this.#phase
    if (answer === undefined || phase.kind !== 'asking') return
    phase.ports.set(answer.place, answer.port)
    if (phase.ports.size < ASKING_SOCKETS) return
    this.#questions?.clear()
    const inOrder = this.#askingSockets().flatMap((socket) => phase.ports.get(socket) ?? [])
    const ports = this.#meetingPorts(inOrder, phase.sinceMs)
    this.#phase =
      ports === undefined ? { kind: 'done' } : { kind: 'told', burstMs: phase.sinceMs + this.#delayMs }
    if (ports !== undefined) effects.push({ kind: 'tell', ports })
  }

  /** Gives the number of probes sent. */
  handleTimeout(nowMs: number, effects: HardEffect[]): number {
    if (nowMs < this.nextDeadlineMs()) return 0
    if (this.#phase.kind === 'sent') this.#startRound(nowMs)
    if (this.#phase.kind === 'told') return this.#burst(nowMs, effects)
    if (this.#phase.kind === 'asking') this.#ask(this.#phase, nowMs, effects)
    return 0
  }

  #startRound(nowMs: number): void {
    if (this.#rounds === MAX_ROUNDS) {
      // The other side's burst may come later than ours, and its answer later still: the sockets stay.
      this.#phase = { kind: 'waiting' }
      return
    }
    this.#rounds += 1
    this.#delayMs = Math.min(MAX_DELAY_MS, 2 * this.#delayMs)
    const isPossible = this.#questions !== undefined && this.#askingSockets().length === ASKING_SOCKETS
    this.#phase = isPossible
      ? { kind: 'asking', ports: new Map(), sinceMs: nowMs, nextAskMs: nowMs }
      : { kind: 'done' }
  }

  /** Others in each round: one that has asked before would be told the same port. */
  #askingSockets(): readonly number[] {
    const first = ASKING_SOCKETS * (this.#rounds - 1)
    return this.#sockets.slice(first, first + ASKING_SOCKETS)
  }

  #ask(phase: Extract<Phase, { kind: 'asking' }>, nowMs: number, effects: HardEffect[]): void {
    phase.nextAskMs = nowMs + RESEND_AFTER_MS
    for (const socket of this.#askingSockets()) {
      const isOpen = !phase.ports.has(socket)
      if (isOpen && this.#questions !== undefined) effects.push(this.#questions.ask(socket, socket))
    }
  }

  #burst(nowMs: number, effects: HardEffect[]): number {
    const { peerEndpoints, ping } = this.#options
    const [peer] = peerEndpoints
    if (this.#theirs === undefined || peer === undefined) return 0
    const [former, latter] = this.#theirs.ports
    const askedMs = this.#sequence?.askedMs ?? nowMs
    const untilMs = Math.max(nowMs + MIN_WAIT_MS, (askedMs + this.#theirs.atMs) / 2 + ROUND_MS)
    this.#delayMs = nowMs - askedMs
    // The next round is for what it tells then.
    this.#theirs = undefined
    this.#phase = { kind: 'sent', untilMs }
    const half = Math.floor(this.#sockets.length / 2)
    for (const [i, socket] of this.#sockets.entries()) {
      const remote = { ...peer, port: i < half ? former : latter }
      effects.push({ kind: 'send', path: { socket, remote, local: undefined }, bytes: ping })
    }
    return this.#sockets.length
  }

  /** `asked`: ports of sockets in the order in which they were sent from. Undefined if they are in no order. */
  #meetingPorts(asked: readonly number[], askedMs: number): Ports | undefined {
    const sequence = sequenceOf(asked, askedMs)
    const count = this.#sockets.length
    const half = Math.floor(count / 2)
    const taken = takenPerMs(this.#sequence, sequence, count) * this.#delayMs
    const next = sequence.last + sequence.step * (1 + Math.max(0, Math.round(taken - half / 2)))
    const ports: Ports = [next + sequence.step * (half - 1), next + sequence.step * (2 * half - 1)]
    this.#sequence = sequence
    return ports[1] > LAST_PORT ? undefined : ports
  }
}

function sequenceOf(ports: readonly number[], askedMs: number): Sequence {
  const steps = ports.slice(1).map((port, i) => port - (ports[i] as number))
  // One that is not positive: the NAT began anew at its lowest port. Without any other it is no order: no port is next.
  const step = Math.min(...steps.filter((each) => each > 0))
  return { first: ports[0] ?? 0, last: ports.at(-1) ?? 0, step, askedMs }
}

/** Ports that others took between two rounds. `own`: that we took ourselves. */
function takenPerMs(before: Sequence | undefined, now: Sequence, own: number): number {
  if (before === undefined || now.first <= before.last) return 0
  const taken = (now.first - before.last) / now.step - 1 - own
  return Math.max(0, taken) / (now.askedMs - before.askedMs)
}
