/**
 * Carries out what hard-plan.ts has chosen against NATs that give each destination another port. Sans-IO.
 *
 * Each technique has a budget of sockets, probes and time, and ends; then the sockets are closed.
 *
 * Some routers keep few sessions, and one whose table is full lets nobody begin anything for half a minute. So
 * before a large search it is measured how much room there is (room-survey.ts). Where it cannot be, a fan stops at
 * its gates, and goes on only if a server answers the next socket: that one still got a session.
 *
 * A fan opens our NAT by datagrams that do not come as far as the peer's: that may answer what nobody asked for,
 * and then what the peer sends to the same port leaves from another one. Once the peer must have sprayed all that it
 * will, the same sockets send again, all the way: for a NAT of ours that was too far away to be opened by the first.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { Bracket } from './bracket.js'
import { FreshPort } from './fresh-port.js'
import { type HardPlan, MAX_SWEEP, sizeOf } from './hard-plan.js'
import { Meeting } from './meeting.js'
import { OwnPort } from './own-port.js'
import { SECOND_HOPS } from './search-schedule.js'
import { ServerQuestions } from './server-questions.js'

/** Sockets of a fan before each of which the router has to show that there is room. */
const GATES: readonly number[] = [96, 128, 176]
const GATE_RESEND_AFTER_MS = 150
const GATE_PATIENCE_MS = 450
const TIME_LIMIT_MS = 2500
/** After the first round of a fan began: as long as a spray takes, and its last probe to arrive. */
const SECOND_ROUND_MS = 1350
/** For the port that the peer is to tell, or a server of a socket of ours; then it goes on without. */
const NEWS_PATIENCE_MS = 900
const STEP_MS = 10
const PROBES_PER_STEP = 10
/** Where both sides depend on chance, what is open must not close before the other side comes by. */
const BLOCK_PROBES_PER_STEP = 20

export type HardEffect =
  /** `hops`: see FinderEffect. */
  | { readonly kind: 'send'; readonly path: Path; readonly bytes: Uint8Array; readonly hops?: number }
  /** Our ports, just learnt: the peer is to sweep them, or to meet us at the first and the last. */
  | { readonly kind: 'tell'; readonly ports: readonly [low: number, high: number] }
  /** The router keeps no more sessions than about so many. */
  | { readonly kind: 'full'; readonly sockets: number }

export interface HardSearchOptions {
  readonly plan: HardPlan
  /** The data socket for IPv4. */
  readonly mainSocket: number
  /** Addresses of the peer's NAT, and endpoints there. */
  readonly peerAddresses: readonly IpAddress[]
  readonly peerEndpoints: readonly Endpoint[]
  readonly stunServer: Endpoint | undefined
  /** There is room for all of the plan; else a fan has to find out. */
  readonly hasRoom: boolean
  /** It takes both sides, and the peer has not said yet that it begins: see release. */
  readonly isHeld: boolean
  /** A sealed ping. Its answer is known by the transaction, wherever it comes from. */
  readonly ping: Uint8Array
  readonly random: RandomBytes
}

export class HardSearch {
  readonly plan: HardPlan
  readonly #options: HardSearchOptions
  readonly #bracket: Bracket | undefined
  /** Both sides tell ports. */
  readonly #meeting: Meeting | FreshPort | undefined
  readonly #questions: ServerQuestions<'gate'> | undefined
  /** Of the fresh socket from which we look for ports of the peer. */
  readonly #ownPort: OwnPort | undefined
  /** From where sprays and sweeps are sent, and to where fans and brackets. */
  #source: number
  #target: Endpoint | undefined
  /** Until when one of these two is waited for, which is what an attempt made anew begins with. */
  #newsMs: number | undefined
  readonly #endMs: number
  #sockets: readonly number[] = []
  /** Ports still to be probed, in the order in which they are. */
  #ports: number[]
  /** Of our sockets in this round, the first of which began then. */
  #fanned = 0
  #fanFromMs: number | undefined
  #isSecondRound = false
  #nextStepMs: number
  /** The next one, and when it was first asked at it. */
  #gate: { readonly at: number; askedMs: number | undefined; nextAskMs: number } | undefined
  #isDone = false
  /** Nothing is sent before the peer has begun too. */
  #isHeld: boolean
  #probes = 0

  constructor(options: HardSearchOptions, nowMs: number) {
    const { plan, stunServer, random } = options
    this.plan = plan
    this.#options = options
    this.#bracket = plan.technique === 'bracket' ? new Bracket(options, MAX_SWEEP) : undefined
    this.#meeting = meetingFor(options, nowMs)
    this.#questions = stunServer && new ServerQuestions(stunServer, random)
    this.#source = options.mainSocket
    this.#target = options.peerEndpoints[0]
    if (this.#looks && plan.isAnew === true) this.#ownPort = new OwnPort(stunServer, random)
    this.#endMs = nowMs + TIME_LIMIT_MS + (plan.isAnew === true ? NEWS_PATIENCE_MS : 0)
    this.#nextStepMs = nowMs
    this.#isHeld = options.isHeld
    if (plan.isAnew === true) this.#newsMs = nowMs + NEWS_PATIENCE_MS
    if (plan.isAnew === true && plan.meetAt !== undefined && !this.#looks) this.meetAt(plan.meetAt, nowMs)
    this.#ports = choosePorts(plan, random)
    this.#gate = options.hasRoom ? undefined : gateAfter(0)
  }

  get isDone(): boolean {
    return this.#isDone || this.#bracket?.isDone === true || this.#meeting?.isDone === true
  }

  /** Sent by now, questions to servers not counted. */
  get probes(): number {
    return this.#probes
  }

  /** Each of its sockets sends to the peer. */
  get #fans(): boolean {
    return this.plan.technique === 'fan' || this.plan.technique === 'cross'
  }

  /** For ports of the peer. */
  get #looks(): boolean {
    return this.plan.technique === 'spray' || this.plan.technique === 'sweep'
  }

  /** What the peer tells of its ports is of use. */
  get takesPorts(): boolean {
    return this.plan.isAnew === true || this.plan.technique === 'sweep' || this.#meeting !== undefined
  }

  get #secondRoundMs(): number {
    if (this.#fanFromMs === undefined || this.#isSecondRound) return Number.POSITIVE_INFINITY
    return this.#fanFromMs + SECOND_ROUND_MS
  }

  nextDeadlineMs(): number {
    if (this.isDone) return Number.POSITIVE_INFINITY
    if (this.#isHeld) return this.#endMs
    if (this.#newsMs !== undefined) {
      if (this.#sockets.length === 0) return this.#endMs
      const askMs = this.#ownPort?.nextDeadlineMs() ?? Number.POSITIVE_INFINITY
      return Math.min(this.#endMs, this.#newsMs, askMs)
    }
    const isFanning = this.#fans && this.#fanned < this.#sockets.length
    if (this.#ports.length > 0 || isFanning) return this.#nextStepMs
    const otherMs = this.#meeting?.nextDeadlineMs() ?? this.#bracket?.nextDeadlineMs() ?? this.#endMs
    return Math.min(this.#endMs, otherMs, this.#secondRoundMs)
  }

  /** The peer has begun. */
  release(nowMs: number): void {
    if (!this.#isHeld) return
    this.#nextStepMs = nowMs
    this.#isHeld = false
    if (this.#newsMs !== undefined) this.#newsMs = nowMs + NEWS_PATIENCE_MS
    this.#askOwnPort(nowMs)
  }

  /** It has succeeded. */
  stopSending(): void {
    this.#ports = []
    this.#fanned = this.#sockets.length
    this.#isSecondRound = true
    this.#newsMs = undefined
    this.#meeting?.stop()
    this.#bracket?.stop()
    this.#ownPort?.stop()
  }

  /** The peer has told where it is to be met, or found. */
  meetAt(ports: readonly [former: number, latter: number], nowMs: number): void {
    this.#meeting?.handlePeerPorts(ports, nowMs)
    if (this.plan.technique === 'sweep') {
      this.#ports = choosePorts({ probes: sizeOf(ports), range: ports }, this.#options.random)
      this.#nextStepMs = nowMs
      return
    }
    const [address] = this.#options.peerAddresses
    const isAwaited = this.#newsMs !== undefined && this.plan.isAnew === true
    if (address === undefined || !isAwaited || sizeOf(ports) !== 1) return
    this.#target = { address, port: ports[0], scopeId: 0 }
    this.#newsMs = nowMs
  }

  /** The sockets that the plan asks for are open. */
  handleSockets(sockets: readonly number[], nowMs: number, effects: HardEffect[]): void {
    this.#sockets = sockets
    this.#meeting?.handleSockets(sockets, nowMs)
    if (this.#newsMs === undefined) this.#bracket?.start(sockets, this.#target, nowMs)
    if (!this.#isHeld) this.#askOwnPort(nowMs)
    this.handleTimeout(nowMs, effects)
  }

  handleTimeout(nowMs: number, effects: HardEffect[]): void {
    if (this.isDone) return
    if (nowMs >= this.#endMs) {
      this.#isDone = true
      return
    }
    if (this.#isHeld || this.#isWaiting(nowMs, effects)) return
    this.#probes += this.#meeting?.handleTimeout(nowMs, effects) ?? 0
    this.#probes += this.#bracket?.handleTimeout(nowMs, effects) ?? 0
    if (nowMs >= this.#secondRoundMs) {
      this.#isSecondRound = true
      this.#fanned = 0
      this.#nextStepMs = nowMs
    }
    while (this.#nextStepMs <= nowMs) {
      this.#nextStepMs += STEP_MS
      const count = this.plan.technique === 'blocks' ? BLOCK_PROBES_PER_STEP : PROBES_PER_STEP
      for (let i = 0; i < count; i++) {
        this.#fan(nowMs, effects)
        this.#fan(nowMs, effects)
        this.#spray(effects)
      }
    }
  }

  /** A datagram on one of our sockets that is no probe. */
  handleDatagram(path: Path, bytes: Uint8Array, effects: HardEffect[]): void {
    this.#bracket?.handleDatagram(path, bytes, effects)
    this.#meeting?.handleDatagram(path, bytes, effects)
    const port = this.#ownPort?.takeAnswer(path, bytes)
    if (port !== undefined && this.#newsMs !== undefined) {
      effects.push({ kind: 'tell', ports: [port, port] })
      this.#source = path.socket
      this.#newsMs = Number.NEGATIVE_INFINITY
    }
    if (this.#gate === undefined || this.#questions?.takeAnswer(path, bytes) === undefined) return
    this.#questions.clear()
    this.#gate = gateAfter(this.#gate.at)
  }

  #askOwnPort(nowMs: number): void {
    const [socket] = this.#sockets
    if (socket !== undefined) this.#ownPort?.ask(socket, nowMs)
  }

  /** For news of a port. */
  #isWaiting(nowMs: number, effects: HardEffect[]): boolean {
    if (this.#newsMs === undefined) return false
    this.#ownPort?.handleTimeout(nowMs, effects)
    if (nowMs < this.#newsMs || this.#sockets.length === 0) return true
    this.#newsMs = undefined
    this.#nextStepMs = nowMs
    this.#bracket?.start(this.#sockets, this.#target, nowMs)
    return false
  }

  /** One more of our sockets sends to one endpoint of the peer; where both fan, sprays do it. */
  #fan(nowMs: number, effects: HardEffect[]): void {
    if (!this.#fans || this.#fanned >= this.#sockets.length) return
    if (this.#isHeldUp(nowMs, effects)) return
    const socket = this.#sockets[this.#fanned]
    const { ping: bytes } = this.#options
    const remote = this.#target
    this.#fanned += 1
    this.#fanFromMs ??= nowMs
    if (socket === undefined || remote === undefined) return
    this.#probes += 1
    const hops = this.#isSecondRound ? {} : { hops: SECOND_HOPS }
    effects.push({ kind: 'send', path: { socket, remote, local: undefined }, bytes, ...hops })
  }

  /** At a gate whose question is not answered. */
  #isHeldUp(nowMs: number, effects: HardEffect[]): boolean {
    const gate = this.#gate
    const socket = this.#sockets[this.#fanned]
    if (gate === undefined || this.#fanned < gate.at || socket === undefined) return false
    gate.askedMs ??= nowMs
    const questions = this.#questions
    if (questions === undefined || nowMs >= gate.askedMs + GATE_PATIENCE_MS) {
      if (questions !== undefined) effects.push({ kind: 'full', sockets: this.#fanned })
      this.#sockets = this.#sockets.slice(0, this.#fanned)
      this.#gate = undefined
    } else if (nowMs >= gate.nextAskMs) {
      gate.nextAskMs = nowMs + GATE_RESEND_AFTER_MS
      effects.push(questions.ask('gate', socket))
    }
    return true
  }

  #spray(effects: HardEffect[]): void {
    const [address] = this.#options.peerAddresses
    const isWaiting = this.plan.technique === 'blocks' && this.#sockets.length === 0
    const port = isWaiting ? undefined : this.#ports.pop()
    if (port === undefined || address === undefined) return
    for (const socket of this.#sprayFrom()) {
      this.#probes += 1
      const path: Path = { socket, remote: { address, port, scopeId: 0 }, local: undefined }
      effects.push({ kind: 'send', path, bytes: this.#options.ping })
    }
  }

  /** The next probe. */
  #sprayFrom(): readonly number[] {
    const { mainSocket } = this.#options
    // Where our own port is a matter of chance too, every socket is another chance.
    const own = this.#sockets[this.#probes % Math.max(1, this.#sockets.length)]
    if (this.plan.technique === 'blocks') return [own ?? mainSocket]
    if (this.#source === mainSocket) return [mainSocket]
    // A peer that has not heard of our fresh port, or does not know what to do with it, aims at the other one.
    return this.plan.technique === 'sweep'
      ? [this.#source, mainSocket]
      : [this.#probes % 2 === 0 ? this.#source : mainSocket]
  }
}

function meetingFor(options: HardSearchOptions, nowMs: number): Meeting | FreshPort | undefined {
  const { technique, meetAt } = options.plan
  if (technique === 'fresh') return new FreshPort(options, meetAt?.[0], nowMs)
  return technique === 'meet' ? new Meeting(options, meetAt && { ports: meetAt, atMs: nowMs }) : undefined
}

function gateAfter(
  sockets: number,
): { readonly at: number; askedMs: number | undefined; nextAskMs: number } | undefined {
  const at = GATES.find((gate) => gate > sockets)
  return at === undefined ? undefined : { at, askedMs: undefined, nextAskMs: 0 }
}

/** Without repetition where there are enough, in random order. */
function choosePorts({ probes, range }: Pick<HardPlan, 'probes' | 'range'>, random: RandomBytes): number[] {
  if (probes === 0) return []
  const [low] = range
  const size = sizeOf(range)
  const all = Array.from({ length: size }, (_, i) => low + i)
  const bytes = random(4 * size)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let i = size - 1; i > 0; i--) {
    const j = view.getUint32(4 * i) % (i + 1)
    const kept = all[i] as number
    all[i] = all[j] as number
    all[j] = kept
  }
  const chosen: number[] = []
  for (let i = 0; i < probes; i++) chosen.push(all[i % size] as number)
  return chosen
}
