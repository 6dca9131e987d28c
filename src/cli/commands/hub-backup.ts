/** `overlay hub backup` and `overlay hub restore`. */

import { resolve } from 'node:path'
import type { RestoreResult } from '../../daemon/hub-restore.js'
import type { Command } from '../command.js'
import { hubCommandOf, hubPathsOf, requireHubStopped } from '../hub-client.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable } from '../units.js'

export const backup: Command = {
  name: 'backup',
  positionals: '<file>',
  about: 'write all that the hub keeps to one new file, while it runs or not',
  options: { force: { about: 'replace a file that is there' } },
  examples: [['sudo overlay hub backup /root/hub.backup', 'it holds the hub’s secrets: keep it as such']],
  async run(input) {
    const { backupHub } = await import('../../daemon/hub-backup.js')
    const path = resolve(input.words[0] ?? '')
    const result = await backupHub(await hubPathsOf(input), path, input.has('force'))
    if (input.output.isJson) printJson(result)
    else {
      printLine(
        `wrote ${path}: all of the hub of ${result.network}, with its secrets, and ${result.nodes} nodes`,
      )
      printNote(`on any machine that nodes reach at the same address: overlay hub restore ${path}`)
    }
    return 0
  },
}

export const restore: Command = {
  name: 'restore',
  positionals: '<file>',
  about: 'bring a hub back from a backup, here or on another machine',
  options: {
    'keep-tokens': { about: 'join tokens of then stay valid, also those that were used since' },
    force: { about: 'also where another hub is, or a sound one; its files are put aside' },
  },
  examples: [
    [
      'sudo overlay hub restore /root/hub.backup',
      'then: sudo overlay hub start; nodes come back by themselves',
    ],
  ],
  async run(input) {
    const { restoreHub } = await import('../../daemon/hub-restore.js')
    await requireHubStopped(input)
    const keepsTokens = input.has('keep-tokens')
    const paths = await hubPathsOf(input)
    const path = resolve(input.words[0] ?? '')
    const result = await restoreHub(paths, { path, keepsTokens, isForced: input.has('force') })
    if (input.output.isJson) printJson({ ...result, state: paths.directory, keepsTokens })
    else {
      const command = await hubCommandOf(input)
      const { address, port } = result.settings
      for (const line of describe(result, keepsTokens, command)) printLine(line)
      printNote(
        `nodes look for it at ${address}:${port} and come back by themselves; now, there: ${command} start`,
      )
    }
    return 0
  },
}

function describe(
  { network, createdAt, nodes, tokens, asideIn, isKeyLater }: RestoreResult,
  keepsTokens: boolean,
  command: string,
): string[] {
  const lines = [`restored the hub of ${network}, as it was at ${createdAt}`]
  if (asideIn !== undefined) lines.push(`what was there before is in ${asideIn}`)
  if (tokens > 0) {
    lines.push(
      keepsTokens
        ? `${tokens} join tokens of then are valid again, also those that were used since: ${command} token list`
        : `${tokens} join tokens of then are revoked, because some may have been used since`,
    )
  }
  lines.push(
    isKeyLater
      ? 'its keys were changed since then, and stay as they are'
      : `if its keys were changed after that (${command} rotate-key), nodes refuse it: restore a later backup, or let them join again with a new token: overlay join --new-key`,
  )
  lines.push('nodes that joined since then have to join again, with a new token')
  if (nodes.length === 0) return lines
  lines.push(
    `these nodes are in the network again. Whichever was removed since then, remove it anew: ${command} remove NAME`,
    formatTable(
      nodes.map(({ name, v4, state, lastSeenMs }) => [
        name,
        v4,
        state,
        `last seen ${new Date(lastSeenMs).toISOString()}`,
      ]),
    ),
  )
  return lines
}
