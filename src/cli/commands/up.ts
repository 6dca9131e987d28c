/** `overlay up`: bring a tunnel up, or hand a changed file to the daemon that runs it. */

import { formatIssue, UsageError } from '../../base/errors.js'
import type { Command, CommandInput } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { findTunnel, listTunnelNames, type TunnelTarget } from '../tunnel-name.js'

const RELOAD_TIMEOUT_MS = 120_000

export const up: Command = {
  name: 'up',
  positionals: '[target]',
  about: 'bring a tunnel up; target is a file or the name of one in /etc/overlay or /etc/wireguard',
  options: {
    foreground: { about: 'stay, and log to the error output (for service managers)', alias: 'f' },
    'no-dns': { about: 'leave this machine’s resolver as it is, whatever the file says' },
    wait: { about: 'come up only when all endpoints that are host names are resolved' },
    reload: { about: 'apply the changed file to the running tunnel; peers stay connected' },
  },
  examples: [
    ['sudo overlay up ./wg0.conf', 'bring up the interface wg0'],
    ['sudo overlay up wg0 --reload', 'apply what was changed in its file'],
  ],
  async run(input) {
    const target = findTunnel(input.words[0] ?? onlyTunnel())
    const { warnings, hasFileAccess } = await checkFile(target, input.has('reload'))
    if (!input.output.isJson) for (const warning of warnings) printNote(`warning: ${warning}`)
    if (input.has('reload')) await reload(target, input)
    else if (input.has('foreground')) await runInForeground(target, input)
    else await start(target, hasFileAccess, input)
    return 0
  },
}

/** All faults of the file come out here, before anything is touched. */
async function checkFile(
  { file, interfaceName }: TunnelTarget,
  isReload: boolean,
): Promise<{ warnings: string[]; hasFileAccess: boolean }> {
  const { areFilesOthers, findExposedFiles, parseTunnelFile } = await import('../../daemon/tunnel-file.js')
  const { findRangeConflicts } = await import('../../daemon/range-conflicts.js')
  const { tryFindLink } = await import('../../platform/network.js')
  const { config, warnings } = parseTunnelFile(file)
  // What is up already is itself what uses them.
  const conflicts = isReload || tryFindLink(interfaceName) !== undefined ? [] : findRangeConflicts(config)
  return {
    warnings: [...warnings.map(formatIssue), ...findExposedFiles(file, config), ...conflicts],
    hasFileAccess: areFilesOthers(file, config),
  }
}

async function start(target: TunnelTarget, hasFileAccess: boolean, input: CommandInput): Promise<void> {
  const { startInBackground } = await import('../background.js')
  const { interfaceName, file } = target
  const { isVerbose } = input.output
  const [hasDns, waitsForNames] = [!input.has('no-dns'), input.has('wait')]
  const options = { hasFileAccess, isVerbose, hasDns, waitsForNames }
  await startInBackground({ interfaceName, configFile: file, ...options })
  if (input.output.isJson) printJson({ interface: interfaceName, state: 'running', configFile: file })
  else printLine(`${interfaceName} is up`)
}

async function runInForeground(target: TunnelTarget, input: CommandInput): Promise<void> {
  const { runDaemon } = await import('../../daemon/composition.js')
  await runDaemon({
    interfaceName: target.interfaceName,
    configFile: target.file,
    hasDns: !input.has('no-dns'),
    waitsForNames: input.has('wait'),
    isForeground: true,
    isVerbose: input.output.isVerbose,
    onReady: () => undefined,
    onWarning: () => undefined, // it is in the log, which is on the same output
  })
}

async function findLoops({ file, interfaceName }: TunnelTarget): Promise<string[]> {
  const { findEndpointLoops } = await import('../../config/endpoint-loops.js')
  const { mainRouteTo } = await import('../../daemon/endpoint-routes.js')
  const { parseTunnelFile } = await import('../../daemon/tunnel-file.js')
  return findEndpointLoops(parseTunnelFile(file).config, (address) => mainRouteTo(address, interfaceName))
}

async function reload(target: TunnelTarget, input: CommandInput): Promise<void> {
  const { callApi } = await import('../api-client.js')
  const { reloadResult } = await import('../../daemon/local-api-schema.js')
  const { requireAlive } = await import('../running.js')
  const { interfaceName } = target
  const { paths } = await requireAlive(interfaceName)
  const result = await callApi({
    socket: paths.apiSocket,
    method: 'POST',
    path: '/v1/reload',
    answer: reloadResult,
    timeoutMs: RELOAD_TIMEOUT_MS,
  })
  // At the start the daemon says so; of a reload it has nobody to tell.
  if (!input.output.isJson) for (const text of await findLoops(target)) printNote(`warning: ${text}`)
  if (input.output.isJson) printJson({ interface: interfaceName, ...result })
  else
    printLine(
      `${interfaceName} is reloaded; changed peers: ${result.changedPeers}, settings: ${result.systemChanges}`,
    )
}

function onlyTunnel(): string {
  const names = listTunnelNames()
  const [name] = names
  if (names.length === 1 && name !== undefined) return name
  throw new UsageError('which tunnel? Name a file or a tunnel', {
    hint: names.length === 0 ? 'for example: overlay up ./wg0.conf' : `there are: ${names.join(', ')}`,
  })
}
