/** `overlay hub relay`: the relays of the network besides the hub's own. */

import { UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { RelayInfo } from '../../control/messages.js'
import type { HubRelay } from '../../daemon/hub-schema.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
import type { Command, CommandGroup, CommandInput } from '../command.js'
import { askHub, schemaOf } from '../hub-client.js'
import { printJson, printLine } from '../output.js'
import { formatTable } from '../units.js'

const add: Command = {
  name: 'add',
  positionals: '<relay>',
  about: 'name another relay to all nodes, as overlay relay prints it: host:port:key',
  options: {},
  examples: [
    [
      'sudo overlay hub relay add relay.example.org:443:KEY',
      'nodes hear of it at once; it takes them a few seconds later',
    ],
  ],
  run: async (input) => await change(input, '/v1/relays/add'),
}

const remove: Command = {
  name: 'remove',
  positionals: '<relay>',
  about: 'take a relay away, as host:port:key',
  options: {},
  examples: [['sudo overlay hub relay remove relay.example.org:443:KEY', 'see: overlay hub relay list']],
  run: async (input) => await change(input, '/v1/relays/remove'),
}

const list: Command = {
  name: 'list',
  positionals: '',
  about: 'all of them, and what they know of the network',
  options: {},
  examples: [['sudo overlay hub relay list', 'place and key, and whether it hears of changes']],
  async run(input) {
    const question = { method: 'GET', path: '/v1/relays', answer: await schemaOf('hubRelays') } as const
    print(input, await askHub(input, question))
    return 0
  },
}

export const relay: CommandGroup = {
  name: 'relay',
  about: 'relays besides the hub’s own',
  options: {},
  examples: [['sudo overlay hub relay list', 'all of them']],
  commands: [add, remove, list],
}

async function change(input: CommandInput, path: string): Promise<number> {
  const body = parseRelay(input.words[0] ?? '')
  print(input, await askHub(input, { method: 'POST', path, body, answer: await schemaOf('hubRelays') }))
  return 0
}

function print(input: CommandInput, relays: readonly HubRelay[]): void {
  if (input.output.isJson) printJson(relays)
  else
    printLine(relays.length === 0 ? 'there is none besides the hub’s own' : formatTable(relays.map(relayRow)))
}

function relayRow({ host, port, key, isConnected, isCurrent }: HubRelay): string[] {
  const state = isCurrent ? 'knows all nodes' : isConnected ? 'is being told' : 'has no session with the hub'
  return [`${formatHostEndpoint({ host, port })}:${key}`, state]
}

/** Throws UsageError. */
export function parseRelay(text: string): RelayInfo {
  const [, host = '', port = '', key = ''] = /^\[?([^\]]+?)\]?:(\d+):([A-Za-z0-9+/]{43}=)$/.exec(text) ?? []
  const number = tryParseInteger(port, 1, 65535)
  if (number !== undefined) return { host, port: number, key }
  throw new UsageError(`"${text}" is no relay`, { hint: 'write host:port:key as overlay relay prints it' })
}
