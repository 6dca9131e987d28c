/** `overlay wait`: until a node answers, or is reached without a relay. For scripts that start programs after it. */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { Command } from '../command.js'
import { type FoundNode, tryFindNode } from '../find-node.js'
import { addressOf, roundTrip } from '../node-ping.js'
import { printJson, printLine } from '../output.js'
import { parseDuration } from '../units.js'

const POLL_MS = 200
const DEFAULT_TIMEOUT = '60s'

export const wait: Command = {
  name: 'wait',
  positionals: '<node>',
  about: 'wait until a node answers; then end with code 0',
  options: {
    direct: { about: 'until it is reached without a relay' },
    timeout: { about: 'how long at most', value: DEFAULT_TIMEOUT },
    interface: { about: 'the interface, where several have such a node', value: 'any' },
  },
  examples: [['sudo overlay wait planner && ./agent', 'start a program when planner can be reached']],
  async run({ words, value, has, output }) {
    const [word = ''] = words
    const timeoutS = parseDuration(value('timeout') ?? DEFAULT_TIMEOUT, '--timeout')
    const deadlineMs = performance.now() + timeoutS * 1000
    for (;;) {
      const found = await tryFind(word, value('interface'))
      if (found !== undefined && (await isReached(found, has('direct')))) {
        if (output.isJson) printJson(found.peer)
        else printLine(`${word} answers, ${found.peer.path?.kind ?? 'direct'}`)
        return 0
      }
      if (performance.now() > deadlineMs) throw tooLate(word, found, timeoutS)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  },
}

/** Undefined also while nothing is up. */
async function tryFind(word: string, interfaceName: string | undefined): Promise<FoundNode | undefined> {
  try {
    return await tryFindNode(word, interfaceName)
  } catch (error) {
    if (error instanceof AppError && error.code === ERROR_CODES.notRunning) return undefined
    throw error
  }
}

async function isReached({ peer }: FoundNode, mustBeDirect: boolean): Promise<boolean> {
  if ((await roundTrip(addressOf(peer))) === null) return false
  return !mustBeDirect || peer.path?.kind !== 'relay'
}

function tooLate(word: string, found: FoundNode | undefined, timeoutS: number): AppError {
  if (found === undefined) {
    return new AppError(ERROR_CODES.noSuchNode, `there is still no node ${word} after ${timeoutS} s`, {
      hint: 'see who is known: overlay status',
    })
  }
  const isRelayed = found.peer.path?.kind === 'relay'
  const state = isRelayed ? 'is reached over a relay only' : 'does not answer'
  return new AppError(ERROR_CODES.timeout, `${word} ${state} after ${timeoutS} s`, {
    hint: `see: overlay why ${word}`,
  })
}
