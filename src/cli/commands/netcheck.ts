/** `overlay netcheck`: what NAT is in the way, and whether UDP comes through. */

import { UsageError } from '../../base/errors.js'
import type { NetworkStatus } from '../../daemon/local-api-schema.js'
import { type HostEndpoint, tryParseHostEndpoint } from '../../net/endpoint.js'
import { tryParseIp } from '../../net/ip.js'
import { STUN_DEFAULT_PORT } from '../../paths/stun.js'
import type { Command } from '../command.js'
import { printJson, printLine } from '../output.js'

export const netcheck: Command = {
  name: 'netcheck',
  positionals: '[servers..]',
  about: 'ask STUN servers, as host or host:port, what NAT is in the way; without any, those of the network',
  options: { interface: { about: 'whose network, where there is more than one', value: 'the only one' } },
  examples: [
    ['overlay netcheck stun.example.org', 'one server; with two addresses it can tell everything'],
    ['overlay netcheck 192.0.2.1:3478 [2001:db8::1]:3478 --json', 'several, for programs'],
  ],
  async run({ words, value, output }) {
    const network = words.length > 0 ? undefined : await askNetwork(value('interface'))
    const servers = (network?.stun ?? words).map(parseServer)
    const { proxyFromEnvironment } = await import('../../config/proxy.js')
    const { runNetcheck } = await import('../../daemon/netcheck.js')
    const report = await runNetcheck(servers, proxyFromEnvironment(process.env))
    const relays = network?.relays ?? []
    if (output.isJson) printJson({ ...report, relays })
    else {
      const { formatNetcheck } = await import('../netcheck-view.js')
      printLine(formatNetcheck(report, relays))
    }
    return report.ipv4?.udp === true || report.ipv6?.udp === true ? 0 : 1
  },
}

/** What a running node knows: servers to ask, and how it reaches its relays. */
async function askNetwork(interfaceName: string | undefined): Promise<NetworkStatus> {
  const { askStatus } = await import('../running.js')
  const { network } = await askStatus(interfaceName)
  if (network !== null && network.stun.length > 0) return network
  throw new UsageError('no network names a server to ask', {
    hint: 'name one: overlay netcheck stun.example.org',
  })
}

function parseServer(text: string): HostEndpoint {
  const host = text.replace(/^stun:/, '')
  const isBareV6 = tryParseIp(host)?.family === 6
  const server =
    tryParseHostEndpoint(host) ??
    tryParseHostEndpoint(isBareV6 ? `[${host}]:${STUN_DEFAULT_PORT}` : `${host}:${STUN_DEFAULT_PORT}`)
  // A zone has no meaning to a server beyond this link, which is no place to see a NAT from.
  if (server !== undefined && !server.host.includes('%')) return server
  throw new UsageError(`"${text}" is no server`, {
    hint: 'write host, host:port, 192.0.2.1:3478 or [2001:db8::1]:3478',
  })
}
