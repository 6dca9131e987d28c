/**
 * Everything `up` may change on a host, as text that can be compared before and after.
 *
 * Links, addresses, rules and routes of both families, the packet filter, the sysctl of default
 * routes, and the files and sockets of one interface name.
 */

import { existsSync, readdirSync } from 'node:fs'
import { type Host, until } from './lab.js'

const COMMANDS: readonly string[] = [
  'ip -o link',
  'ip -o addr',
  'ip -4 rule',
  'ip -6 rule',
  'ip -4 route show table all',
  'ip -6 route show table all',
  'nft list ruleset',
  'sysctl net.ipv4.conf.all.src_valid_mark',
]

const DIRECTORIES: readonly string[] = ['/run/overlay', '/var/run/wireguard', '/var/lib/overlay']

/** `interfaceName`: files with this name count; those of other interfaces do not. */
export async function systemState(host: Host, interfaceName: string): Promise<Record<string, string>> {
  await untilSettled(host)
  const state: Record<string, string> = {}
  for (const command of COMMANDS) {
    // An address still on trial or a route about to expire is no difference.
    state[command] = (await host.run(command)).replaceAll(/ (expires|valid_lft|preferred_lft) \S+/g, '')
  }
  for (const directory of DIRECTORIES) {
    const names = existsSync(directory) ? readdirSync(directory) : []
    state[directory] = names.filter((name) => name.includes(interfaceName)).join(' ')
  }
  state.processes = String(host.backgroundPids().length)
  return state
}

/** A cable comes up in the background, and its link-local address with it. */
async function untilSettled(host: Host): Promise<void> {
  await until('all cables are up', async () => {
    const links = (await host.run('ip -o link show up type veth')).split('\n').filter(Boolean)
    const addresses = await host.run('ip -o -6 addr show scope link')
    return links.every((link) => {
      const [, name = ''] = /^\d+: ([^@:]+)/.exec(link) ?? []
      return link.includes(' state UP ') && addresses.includes(` ${name} `)
    })
  })
}

/** Resident memory of a process in MiB. */
export function memoryMib(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
}
