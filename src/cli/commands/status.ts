/** `overlay status`: what is up and how each peer is doing. */

import type { InterfaceStatus, StatusReport } from '../../daemon/local-api-schema.js'
import type { Command, CommandInput } from '../command.js'
import { printJson, printLine } from '../output.js'
import type { RunningInterface } from '../running.js'
import { interfaceNameOf } from '../tunnel-name.js'

const STATUS_TIMEOUT_MS = 5000
const WATCH_INTERVAL_MS = 1000
const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J'

export const status: Command = {
  name: 'status',
  positionals: '[target]',
  about: 'show interfaces, peers, traffic and what was dropped',
  options: { watch: { about: 'show it again every second, until Ctrl-C', alias: 'w' } },
  examples: [
    ['sudo overlay status', 'all interfaces'],
    ['sudo overlay status wg0 --json', 'one interface, for programs'],
  ],
  async run(input) {
    if (!input.has('watch')) {
      await show(input)
      return 0
    }
    while (!process.stdout.destroyed) {
      if (process.stdout.isTTY && !input.output.isJson) process.stdout.write(CLEAR_SCREEN)
      await show(input)
      await new Promise((resolve) => setTimeout(resolve, WATCH_INTERVAL_MS))
    }
    return 0
  },
}

async function show(input: CommandInput): Promise<void> {
  const report = await gather(input.words[0])
  if (input.output.isJson && input.has('watch')) printLine(JSON.stringify(report))
  else if (input.output.isJson) printJson(report)
  else {
    const { formatStatus } = await import('../status-view.js')
    printLine(formatStatus(report, process.stdout.isTTY && process.env.NO_COLOR === undefined))
  }
}

async function gather(target: string | undefined): Promise<StatusReport> {
  const { listRunning, requireRunning } = await import('../running.js')
  const found = target === undefined ? await listRunning() : [await requireRunning(interfaceNameOf(target))]
  const answers = await Promise.all(found.filter((running) => running.isAlive).map(ask))
  const crashed = found
    .filter((running) => !running.isAlive)
    .map(({ record }) => ({
      interface: record.interface,
      hint: `clean up with: sudo overlay down ${record.interface}`,
    }))
  return { interfaces: answers, crashed }
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
