/**
 * Name servers of an interface, registered with the host's `resolvconf` (openresolv, Debian's
 * resolvconf or systemd-resolved all bring one).
 */

import { readFileSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { runProgram, tryFindProgram } from './processes.js'

export interface DnsSettings {
  readonly interfaceName: string
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
}

/** Exclusive and with the highest metric: all questions go to these servers while the tunnel is up. */
export async function setDns(settings: DnsSettings): Promise<void> {
  const resolvconf = tryFindProgram('resolvconf')
  if (resolvconf === undefined) {
    throw new AppError(ERROR_CODES.command, 'cannot set DNS servers: the program resolvconf is missing', {
      hint: 'type: sudo apt-get install -y openresolv (on hosts with systemd-resolved: systemd-resolved), or remove the DNS line',
    })
  }
  const args = ['-a', recordName(settings.interfaceName), '-m', '0', '-x']
  await runProgram(resolvconf, args, formatResolvConf(settings))
}

/** Nothing happens if there is nothing to take back. */
export async function unsetDns(interfaceName: string): Promise<void> {
  const resolvconf = tryFindProgram('resolvconf')
  if (resolvconf === undefined) return
  await runProgram(resolvconf, ['-d', recordName(interfaceName), '-f'])
}

export function formatResolvConf(settings: DnsSettings): string {
  const lines = settings.servers.map((server) => `nameserver ${server}`)
  if (settings.searchDomains.length > 0) lines.push(`search ${settings.searchDomains.join(' ')}`)
  return `${lines.join('\n')}\n`
}

/** Debian's resolvconf orders records by name; the first `word*` in its list is ahead of the others. */
function recordName(interfaceName: string): string {
  try {
    const order = readFileSync('/etc/resolvconf/interface-order', 'utf8')
    const prefix = /^([A-Za-z0-9-]+)\*$/m.exec(order)?.[1]
    return prefix === undefined ? interfaceName : `${prefix}.${interfaceName}`
  } catch {
    return interfaceName
  }
}
