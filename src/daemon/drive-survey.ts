/** Drives a survey (src/paths) over sockets of its own: questions go out, answers come in, and it ends. */

import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { Endpoint } from '../net/endpoint.js'
import { type IpAddress, tryParseIp } from '../net/ip.js'
import type { SurveySend } from '../paths/nat-survey.js'
import { tryUnveil, veil } from '../paths/veil.js'
import { bootNowMs } from '../platform/clock.js'
import { type DatagramSocket, openDatagramSocket } from '../platform/datagram-socket.js'
import { createWakeUp } from './wake-up.js'

/** A machine that asks and ends: it names its sockets by number. */
interface Survey {
  readonly isDone: boolean
  start(nowMs: number, sends: SurveySend[]): void
  handleDatagram(socket: number, from: Endpoint, bytes: Uint8Array, nowMs: number, sends: SurveySend[]): void
  handleTimeout(nowMs: number, sends: SurveySend[]): void
  nextDeadlineMs(): number
}

export interface DriveOptions {
  readonly signal?: AbortSignal | undefined
  /** STUN is dropped here: see veil.ts. */
  readonly isVeiled?: boolean
}

/**
 * Resolves when the survey is done, or given up by `signal`, and its sockets are closed. False if the machine
 * lacks the family.
 */
export async function driveSurvey(
  survey: Survey,
  family: 4 | 6,
  { signal, isVeiled = false }: DriveOptions = {},
): Promise<boolean> {
  const sockets = new Map<number, Promise<DatagramSocket | undefined>>()
  let finish: () => void = () => undefined
  const done = new Promise<void>((resolve) => {
    finish = resolve
  })

  function turn(step: (nowMs: number, sends: SurveySend[]) => void): void {
    if (signal?.aborted === true) return
    const sends: SurveySend[] = []
    step(bootNowMs(), sends)
    for (const send of sends) void carry(send)
    wakeUp.at(survey.nextDeadlineMs())
    if (survey.isDone) finish()
  }

  const wakeUp = createWakeUp(bootNowMs, () => turn((nowMs, sends) => survey.handleTimeout(nowMs, sends)))

  function socketOf(number: number): Promise<DatagramSocket | undefined> {
    const open =
      sockets.get(number) ??
      openDatagramSocket(family, (from, bytes) =>
        turn((nowMs, sends) => survey.handleDatagram(number, from, tryUnveil(bytes) ?? bytes, nowMs, sends)),
      )
    sockets.set(number, open)
    return open
  }

  async function carry({ socket, to, bytes }: SurveySend): Promise<void> {
    const open = await socketOf(socket)
    if (signal?.aborted !== true)
      open?.send(to, isVeiled ? veil(bytes, (length) => randomBytes(length)) : bytes)
  }

  signal?.addEventListener('abort', () => {
    wakeUp.at(Number.POSITIVE_INFINITY)
    finish()
  })
  const isAvailable = (await socketOf(0)) !== undefined
  if (isAvailable) {
    turn((nowMs, sends) => survey.start(nowMs, sends))
    if (signal?.aborted !== true) await done
  }
  for (const open of sockets.values()) await (await open)?.close()
  return isAvailable
}

export function ownAddresses(): IpAddress[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ address }) => tryParseIp(address.split('%')[0] ?? '') ?? [])
}
