/** `overlay hub backup` and `overlay hub restore`. */

import { resolve } from 'node:path'
import { shellWord } from '../../base/shell-word.js'
import type { RestorePlan } from '../../daemon/hub-restore-plan.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
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
        `wrote ${path}: all of the hub of ${result.network}, with its secrets, and ${result.nodes} node${result.nodes === 1 ? '' : 's'}`,
      )
      printNote(`on any machine that nodes reach at the same address: overlay hub restore ${shellWord(path)}`)
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
    'dry-run': { about: 'say what that would bring back and what it would lose, and change nothing' },
  },
  examples: [
    ['sudo overlay hub restore /root/hub.backup --dry-run', 'what would come back, and what would be lost'],
    [
      'sudo overlay hub restore /root/hub.backup',
      'then: sudo overlay hub start; nodes come back by themselves',
    ],
  ],
  async run(input) {
    const isDry = input.has('dry-run')
    if (!isDry) await requireHubStopped(input)
    const keepsTokens = input.has('keep-tokens')
    const paths = await hubPathsOf(input)
    const path = resolve(input.words[0] ?? '')
    const command = await hubCommandOf(input)
    const tell = (plan: RestorePlan): void => {
      if (!input.output.isJson) for (const line of describe(plan, keepsTokens, command)) printLine(line)
    }
    if (isDry) {
      const { readRestore } = await import('../../daemon/hub-restore-plan.js')
      const { plan } = await readRestore(paths, path)
      tell(plan)
      const { obstacle, ...rest } = plan
      const needsForce = obstacle !== undefined
      if (input.output.isJson)
        printJson({
          ...rest,
          isKeyLater: rest.key === 'later',
          needsForce,
          state: paths.directory,
          keepsTokens,
        })
      else {
        if (needsForce) printNote(`it needs --force: ${obstacle.message}`)
        printNote('nothing was changed')
      }
      return 0
    }
    const { restoreHub } = await import('../../daemon/hub-restore.js')
    const request = { path, keepsTokens, isForced: input.has('force'), onPlan: tell }
    const { plan, asideIn } = await restoreHub(paths, request)
    const { network, settings, createdAt } = plan
    const { obstacle: _, ...rest } = plan
    if (input.output.isJson)
      printJson({ ...rest, isKeyLater: rest.key === 'later', asideIn, state: paths.directory, keepsTokens })
    else {
      printLine(`restored the hub of ${network}, as it was at ${createdAt}`)
      if (asideIn !== undefined) printLine(`what was there before is in ${asideIn}`)
      const place = formatHostEndpoint({ host: settings.address, port: settings.port })
      printNote(`nodes look for it at ${place} and come back by themselves; now, there: ${command} start`)
    }
    return 0
  },
}

/** What whoever restores has to know before, and to do after. */
function describe(plan: RestorePlan, keepsTokens: boolean, command: string): string[] {
  const { network, createdAt, tokens } = plan
  const lines = [`this backup is the hub of ${network}, as it was at ${createdAt}. With it:`]
  if (tokens > 0) {
    lines.push(
      keepsTokens
        ? `- ${tokens} join tokens of then are valid again, also those that were used since: ${command} token list`
        : `- ${tokens} join tokens of then are revoked, because some may have been used since`,
    )
  }
  lines.push(`- ${KEY_WORDS[plan.key](command)}`)
  return [...lines, ...describeNodes(plan, command)]
}

const ANEW = 'sudo overlay down NETWORK, and with a new token: sudo overlay join --new-key'

const KEY_WORDS: Readonly<Record<RestorePlan['key'], (command: string) => string>> = {
  same: () => 'its keys are those that are here now',
  later: () => 'its keys were changed since then, and those of now stay',
  other: () =>
    `its keys are others than those that are here now: nodes that know these alone refuse it, and join again: on each, ${ANEW}`,
  unknown: (command) =>
    `if its keys were changed after that (${command} rotate-key), nodes refuse it: take a later backup, or join them again: on each, ${ANEW}`,
}

function describeNodes({ nodes, since }: RestorePlan, command: string): string[] {
  if (since !== undefined) {
    const { gone, joined } = since
    const back = gone.map(
      (name) =>
        `- ${name} is in the network again; to remove it anew, after the start: ${command} remove ${name}`,
    )
    const lost = joined.map((name) => `- ${name} joined since then, and has to join again, with a new token`)
    const others = nodes.length > gone.length ? ['- all others come back as they were then'] : []
    return [...back, ...lost, ...others]
  }
  const lost = '- nodes that joined since then have to join again, with a new token'
  if (nodes.length === 0) return [lost]
  return [
    lost,
    `- these nodes are in the network again. Whichever was removed since then, remove it anew, after the start: ${command} remove NAME`,
    formatTable(
      nodes.map(({ name, v4, state, lastSeenMs }) => [
        name,
        v4,
        state,
        `last seen ${new Date(lastSeenMs).toISOString()}`,
      ]),
    ),
  ]
}
