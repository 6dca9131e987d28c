/**
 * How many sessions more the router here would keep. Sans-IO.
 *
 * A connection to a closed TCP port takes a session of each router on the way until its refusal comes back, and
 * leaves none: what has been answered by nothing but a reset is forgotten at once (Linux, tcp_packet() in
 * nf_conntrack_proto_tcp.c). So many connections that were on the way at once and were all refused are so many
 * sessions that were there at once, and nobody else behind the router waited for longer than a round trip.
 *
 * A connection that is not refused found no session, or was lost. Those that are lost are missing also when half as
 * many are asked for, those that found no session are not. And of those that found none, some are missing again when
 * a few more are asked for than were refused: a machine or a link that was busy for a moment lost them, and loses none now.
 */

/**
 * The first tells whether the port is closed, the second how long a round trip takes: a program that does something for
 * the first time is slow. Each of the others is little more than what is known to be there.
 */
const STEPS = [1, 1, 64, 128, 288] as const
/** It may be lost: what there is no room for is missing in the next one too. */
const TIMED_STEP = 1
/** Fewer of those that are asked for may be lost without a meaning. */
const MISSING_SHARE = 0.03
/** Of the missing share, when half as many are asked for: more are missing because the way loses them. */
const MAX_LOST = 1 / 3
/** A busy machine may be too slow now, or lose some, and not the next time. */
const MAX_REPEATS = 3
/** Of those that were refused: so many are asked for when a lack is looked at again. */
const AGAIN_SHARE = 1.1

interface BurstResult {
  readonly refused: number
  /** The last one left before the first answer came back. */
  readonly isAtOnce: boolean
}

export class RoomSurvey {
  #step = 0
  #repeats = 0
  /** When some were missing. `isTrue`: half as many found room. */
  #limit: { readonly refused: number; readonly missingShare: number; readonly isTrue: boolean } | undefined
  #room: number | undefined
  #isDone = false

  /** Free sessions: Infinity if there is no lack of them; undefined if that could not be found out. */
  get room(): number | undefined {
    return this.#room
  }

  /** How many connections to begin now; undefined if no more are needed. */
  get next(): number | undefined {
    const [limit, step] = [this.#limit, STEPS[this.#step]]
    if (this.#isDone || step === undefined) return undefined
    if (limit === undefined) return step
    return limit.isTrue
      ? Math.min(step, Math.ceil(AGAIN_SHARE * limit.refused))
      : Math.floor(limit.refused / 2)
  }

  /** What became of `next` connections. */
  handleBurst({ refused, isAtOnce }: BurstResult): void {
    const asked = this.next
    if (asked === undefined) return
    const missingShare = 1 - refused / asked
    const limit = this.#limit
    if (limit?.isTrue === false) {
      if (missingShare > MAX_LOST * limit.missingShare) this.#end(undefined)
      else this.#limit = { ...limit, isTrue: true }
    } else if (limit !== undefined) {
      if (missingShare > MISSING_SHARE) this.#end(Math.max(limit.refused, refused))
      else this.#repeat()
    } else if (this.#step === TIMED_STEP) this.#handleAll()
    else if (missingShare > MISSING_SHARE) this.#handleMissing(refused, missingShare)
    else if (isAtOnce || this.#step === 0) this.#handleAll()
    else this.#repeat()
  }

  /** The same step. */
  #repeat(): void {
    this.#limit = undefined
    this.#repeats += 1
    if (this.#repeats > MAX_REPEATS) this.#end(undefined)
  }

  #handleAll(): void {
    this.#step += 1
    if (this.#step === STEPS.length) this.#end(Number.POSITIVE_INFINITY)
  }

  #handleMissing(refused: number, missingShare: number): void {
    if (this.#step === 0) this.#end(undefined)
    else if (refused < 2) this.#end(refused)
    else this.#limit = { refused, missingShare, isTrue: false }
  }

  #end(room: number | undefined): void {
    this.#room = room
    this.#isDone = true
  }
}
