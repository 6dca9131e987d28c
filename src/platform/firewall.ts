/**
 * The packet filter rules that belong to a default route through the tunnel, as one nftables table
 * per address family, so that undoing them is removing the table.
 *
 * - Packets for the tunnel's own addresses that come in elsewhere are dropped, except from this host:
 *   otherwise a neighbour could learn and use the address inside the tunnel.
 * - Outer datagrams carry a mark; it is kept in connection tracking and put back on the answers, so
 *   that strict reverse path filtering finds the way they came.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { runProgram, tryFindProgram } from './processes.js'

export interface FirewallTable {
  readonly family: 'ip' | 'ip6'
  readonly interfaceName: string
  /** The tunnel's own addresses of this family, as text. */
  readonly addresses: readonly string[]
  readonly mark: number
}

/** nft takes letters, digits, `_`, `.`, `/` and `-` in a name; an interface may also have `=` and `+`. */
export function firewallTableName(interfaceName: string): string {
  const safe = interfaceName.replace(/[=+]/g, (c) => `.${c.charCodeAt(0).toString(16)}`)
  return `overlay-${safe}`
}

/** Script for `nft -f -`; replaces a table of the same name in one transaction. */
export function formatFirewall(table: FirewallTable): string {
  const { family, interfaceName, addresses, mark } = table
  const name = `${family} ${firewallTableName(interfaceName)}`
  const guard = addresses.map(
    (address) => `    iifname != "${interfaceName}" ${family} daddr ${address} fib saddr type != local drop`,
  )
  return [
    ...tableScript(name),
    `table ${name} {`,
    '  chain guard {',
    '    type filter hook prerouting priority -300; policy accept;',
    ...guard,
    '  }',
    '  chain restore {',
    '    type filter hook prerouting priority -150; policy accept;',
    '    meta l4proto udp meta mark set ct mark',
    '  }',
    '  chain save {',
    '    type filter hook postrouting priority -150; policy accept;',
    `    meta l4proto udp meta mark ${mark} ct mark set meta mark`,
    '  }',
    '}',
    '',
  ].join('\n')
}

/** Lines that leave no table of this name, whether there was one or not. */
export function tableScript(name: string): string[] {
  return [`add table ${name}`, `delete table ${name}`]
}

export function hasFirewall(): boolean {
  return tryFindProgram('nft') !== undefined
}

export async function addFirewall(table: FirewallTable): Promise<void> {
  await runNft(formatFirewall(table))
}

/** Nothing happens if the table is not there. */
export async function removeFirewall(family: 'ip' | 'ip6', interfaceName: string): Promise<void> {
  if (!hasFirewall()) return
  const name = `${family} ${firewallTableName(interfaceName)}`
  await runNft(`${tableScript(name).join('\n')}\n`)
}

/** Throws AppError. */
export async function runNft(script: string): Promise<void> {
  const nft = tryFindProgram('nft')
  if (nft === undefined) {
    throw new AppError(ERROR_CODES.command, 'cannot set packet filter rules: the program nft is missing', {
      hint: 'type: sudo apt-get install -y nftables',
    })
  }
  await runProgram(nft, ['-f', '-'], script)
}
