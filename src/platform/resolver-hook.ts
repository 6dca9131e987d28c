/**
 * Makes this machine ask a name server of ours for the names of one domain: by systemd-resolved where it
 * runs, which asks for that domain only; else as the first server in resolv.conf, which then gets all
 * questions and passes on what is not its own.
 *
 * In resolv.conf two lines are added and taken away again, by their mark: what others change meanwhile stays.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { runProgram, tryFindProgram } from './processes.js'
import { toPlatformError } from './system-error.js'

const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_STUB = '/run/systemd/resolve/stub-resolv.conf'

export interface ResolverHook {
  readonly interfaceName: string
  readonly server: string
  readonly domain: string
}

/** Throws AppError, PlatformError. */
export async function hookResolver({ interfaceName, server, domain }: ResolverHook): Promise<void> {
  const resolvectl = resolvectlIfUsed()
  if (resolvectl !== undefined) {
    await runProgram(resolvectl, ['dns', interfaceName, server])
    await runProgram(resolvectl, ['domain', interfaceName, `~${domain}`])
    return
  }
  edit((text) => `${markOf(interfaceName)}\nnameserver ${server}\n${without(text, interfaceName)}`)
}

/** Nothing happens if there is nothing to take back. With systemd-resolved it goes with the interface. */
export function unhookResolver(interfaceName: string): void {
  if (tryRead()?.includes(markOf(interfaceName)) === true) edit((text) => without(text, interfaceName))
}

/** Servers in resolv.conf other than `own`. */
export function otherNameServers(own: string): string[] {
  const servers = [...(tryRead() ?? '').matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '')
  return servers.filter((server) => server !== own)
}

function resolvectlIfUsed(): string | undefined {
  try {
    readFileSync(RESOLVED_STUB)
  } catch {
    return undefined
  }
  return tryFindProgram('resolvectl')
}

function markOf(interfaceName: string): string {
  return `# the next line is of overlay, interface ${interfaceName}`
}

function without(text: string, interfaceName: string): string {
  const lines = text.split('\n')
  const at = lines.indexOf(markOf(interfaceName))
  if (at >= 0) lines.splice(at, 2)
  return lines.join('\n')
}

function tryRead(): string | undefined {
  try {
    return readFileSync(RESOLV_CONF, 'utf8')
  } catch {
    return undefined
  }
}

/** In place: where the file is mounted from elsewhere, as in containers, it cannot be replaced. */
function edit(change: (text: string) => string): void {
  try {
    writeFileSync(RESOLV_CONF, change(tryRead() ?? ''))
  } catch (error) {
    throw toPlatformError(error, `cannot change ${RESOLV_CONF}`, 'names of the network will not resolve')
  }
}
