/**
 * The kill switch of a tunnel with a default route: an nftables table of its own, so that taking it back is
 * removing the table. It does not depend on the interface or on any process: when both are gone, nothing leaves.
 *
 * What leaves: packets into the tunnel, its own datagrams (by their mark), and what a link needs to have an address
 * at all (DHCP, RFC 2131 and 8415; neighbour discovery, RFC 4861). Everything else is refused, the local network
 * included; so is what this machine forwards past the tunnel, for instance for containers.
 */

import { firewallTableName, runNft, tableScript } from './firewall.js'

/** Replaces a table of the same name in one transaction. Throws AppError if it cannot be made. */
export async function addKillSwitch(interfaceName: string, mark: number): Promise<void> {
  await runNft(formatKillSwitch(interfaceName, mark))
}

/** Nothing happens if the table is not there. */
export async function removeKillSwitch(interfaceName: string): Promise<void> {
  await runNft(`${tableScript(nameOf(interfaceName)).join('\n')}\n`)
}

function formatKillSwitch(interfaceName: string, mark: number): string {
  return [
    ...tableScript(nameOf(interfaceName)),
    `table ${nameOf(interfaceName)} {`,
    '  chain output {',
    '    type filter hook output priority 0; policy accept;',
    `    oifname { "lo", "${interfaceName}" } accept`,
    `    meta mark ${mark} accept`,
    '    udp sport 68 udp dport 67 accept',
    '    udp sport 546 udp dport 547 accept',
    '    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept',
    '    counter reject with icmpx type admin-prohibited',
    '  }',
    '  chain forward {',
    '    type filter hook forward priority 0; policy accept;',
    `    oifname "${interfaceName}" accept`,
    `    iifname "${interfaceName}" accept`,
    '    counter reject with icmpx type admin-prohibited',
    '  }',
    '}',
    '',
  ].join('\n')
}

function nameOf(interfaceName: string): string {
  return `inet ${firewallTableName(interfaceName)}-kill`
}
