/** `overlay status`: what is up and how each peer is doing. */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { InterfaceStatus, StatusReport } from '../../daemon/local-api-schema.js'
import { listRunNames } from '../../platform/run-directory.js'
import type { Command, CommandInput } from '../command.js'
import { printJson, printLine } from '../output.js'
import type { RunningInterface } from '../running.js'
import { interfaceNameOf } from '../tunnel-name.js'

const STATUS_TIMEOUT_MS = 5000
const WATCH_INTERVAL_MS = 1000
const CURSOR_HOME = '\u001b[H'
const CLEAR_LINE_END = '\u001b[K'
const CLEAR_SCREEN_END = '\u001b[K\u001b[J'

export const status: Command = {
  name: 'status',
  positionals: '[target]',
  about: 'show interfaces and nodes; target is an interface, a file, or a node for all there is to say of it',
  options: {
    watch: { about: 'show it again every second, until Ctrl-C', alias: 'w' },
    stats: { about: 'what was carried, and what was dropped and why' },
  },
  examples: [
    ['sudo overlay status', 'all interfaces, a line for each node'],
    ['sudo overlay status planner', 'all there is to say of a node; of all nodes: --verbose'],
    ['sudo overlay status wg0 --json', 'one interface, for programs'],
    ['sudo overlay status wg0 --stats', 'counters of one interface'],
  ],
  async run(input) {
    const show = await chooseView(input)
    if (!input.has('watch')) return await show()
    while (!process.stdout.destroyed) {
      await show()
      await new Promise((resolve) => setTimeout(resolve, WATCH_INTERVAL_MS))
    }
    return 0
  },
}

/** Gives what shows it once, and then the exit code. */
async function chooseView(input: CommandInput): Promise<() => Promise<number>> {
  const [word] = input.words
  if (word !== undefined && !isInterface(word)) {
    const { tryFindNode } = await import('../find-node.js')
    if ((await tryFindNode(word, undefined)) !== undefined) return async () => await printNode(word, input)
  }
  return async () => await print(await gather(word), input)
}

function isInterface(word: string): boolean {
  return word.includes('/') || word.endsWith('.conf') || listRunNames().includes(word)
}

async function printNode(word: string, { output }: CommandInput): Promise<number> {
  const { findNode } = await import('../find-node.js')
  const { formatNode } = await import('../status-view.js')
  const { peer } = await findNode(word, undefined)
  if (output.isJson) printJson(peer)
  else printLine(formatNode(peer, hasColour()))
  return 0
}

function hasColour(): boolean {
  return process.stdout.isTTY && process.env.NO_COLOR === undefined
}

/** Gives the exit code. */
async function print(report: StatusReport, input: CommandInput): Promise<number> {
  const isWatching = input.has('watch')
  if (input.output.isJson && isWatching) printLine(JSON.stringify(report))
  else if (input.output.isJson) printJson(report)
  else {
    const text = await describe(report, input)
    printLine(isWatching && process.stdout.isTTY ? overLastScreen(text) : text)
  }
  return report.unresponsive.length === 0 ? 0 : 1
}

async function describe(report: StatusReport, input: CommandInput): Promise<string> {
  if (input.has('stats')) {
    const { formatStats } = await import('../stats-view.js')
    return formatStats(report)
  }
  const { formatStatus } = await import('../status-view.js')
  return formatStatus(report, { hasColour: hasColour(), isVerbose: input.output.isVerbose })
}

/** Line over line, so that nothing flickers and what was scrolled away stays. */
function overLastScreen(text: string): string {
  return `${CURSOR_HOME}${text.replaceAll('\n', `${CLEAR_LINE_END}\n`)}${CLEAR_SCREEN_END}`
}

async function gather(target: string | undefined): Promise<StatusReport> {
  const { crashHint, listRunning, requireRunning } = await import('../running.js')
  const { running: found, unreadable } =
    target === undefined
      ? await listRunning()
      : { running: [await requireRunning(interfaceNameOf(target))], unreadable: [] }
  const crashed = found
    .filter((running) => !running.isAlive)
    .map(({ record }) => ({
      interface: record.interface,
      hint: crashHint(record),
    }))
  const alive = found.filter((running) => running.isAlive)
  const answers = await Promise.all(alive.map(target === undefined ? tryAsk : requireAnswer))
  return {
    interfaces: answers.flatMap(({ status }) => status ?? []),
    crashed,
    unresponsive: [...unreadable, ...answers.flatMap(({ failure }) => failure ?? [])],
  }
}

interface Answer {
  readonly status?: InterfaceStatus
  readonly failure?: StatusReport['unresponsive'][number]
}

async function requireAnswer(running: RunningInterface): Promise<Answer> {
  return { status: await ask(running) }
}

/** One daemon that hangs must not hide the others. Empty for one that starts or ends just now. */
async function tryAsk(running: RunningInterface): Promise<Answer> {
  try {
    return { status: await ask(running) }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code === ERROR_CODES.notRunning) return {}
    const { message, hint } = error
    const { pid, interface: name } = running.record
    return { failure: { interface: name, message: `process ${pid}: ${message} (${hint})` } }
  }
}

async function ask({ paths }: RunningInterface): Promise<InterfaceStatus> {
  const { callApi } = await import('../api-client.js')
  const { interfaceStatus } = await import('../../daemon/local-api-schema.js')
  return await callApi({
    socket: paths.apiSocket,
    method: 'GET',
    path: '/v1/status',
    answer: interfaceStatus,
    timeoutMs: STATUS_TIMEOUT_MS,
  })
}
