/** `overlay hub`: the control server of a network. */

import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import type { ZodType } from 'zod'
import { AppError, ERROR_CODES, UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { HubNode, HubStatus } from '../../daemon/hub-schema.js'
import type { HubPaths } from '../../daemon/hub-state.js'
import type { Command, CommandInput } from '../command.js'
import { listOf, megabitsOf, portOf } from '../options.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable, parseDuration } from '../units.js'

const TIMEOUT_MS = 10_000
const DEFAULT_PORT = 443
const DEFAULT_STUN_PORT = 3478
const DEFAULT_TOKEN_LIFETIME = '24h'
const ACTIONS = 'init, start, status, token create, nodes, remove, rename, approve, audit, backup'

type Action = (input: CommandInput, paths: HubPaths, words: readonly string[]) => Promise<void>

export const hub: Command = {
  name: 'hub',
  positionals: '<action> [words..]',
  about: 'make and run the hub of a network: who is in it, and how nodes find each other',
  options: {
    state: { about: 'directory of its state', value: '/var/lib/overlay/hub' },
    address: { about: 'init: host name or address under which nodes reach it', value: 'this machine’s' },
    port: { about: 'init: TCP port of everything', value: `${DEFAULT_PORT}` },
    'stun-port': { about: 'init: first of two UDP ports for STUN', value: `${DEFAULT_STUN_PORT}` },
    'stun-address': {
      about: 'init: addresses for STUN, with commas; two tell more about a NAT',
      value: 'all',
    },
    relay: { about: 'init: another relay, as host:port:key', value: 'none' },
    approve: { about: 'init: new nodes wait for approval' },
    consent: { about: 'init: two nodes reach each other only when both have said yes: overlay trust' },
    'rate-limit': { about: 'start: Mbit/s that a node may send through the relay', value: 'none' },
    name: { about: 'token create: name of the node that uses it', value: 'its own choice' },
    tags: { about: 'token create: tags of the node, with commas', value: 'none' },
    uses: { about: 'token create: how many nodes may use it', value: '1' },
    expires: { about: 'token create: how long it is valid', value: DEFAULT_TOKEN_LIFETIME },
    ephemeral: { about: 'token create: the node is forgotten when it has been away for 5 minutes' },
  },
  examples: [
    ['sudo overlay hub init home --address hub.example.org', 'once'],
    ['sudo overlay hub start', 'runs until it is ended'],
    ['sudo overlay hub token create --name planner', 'prints a token for: overlay join'],
    ['sudo overlay hub nodes', 'who is in the network'],
    ['sudo overlay hub remove planner', 'takes effect at once'],
  ],
  async run(input) {
    const { HUB_STATE_DIRECTORY, hubPaths } = await import('../../daemon/hub-state.js')
    const paths = hubPaths(resolve(input.value('state') ?? HUB_STATE_DIRECTORY))
    const [name = '', ...words] = input.words
    const action = Object.hasOwn(ACTION_TABLE, name) ? ACTION_TABLE[name] : undefined
    if (action === undefined) {
      throw new UsageError(`overlay hub cannot "${name}"`, { hint: `it can: ${ACTIONS}` })
    }
    await action(input, paths, words)
    return 0
  },
}

const ACTION_TABLE: Readonly<Record<string, Action>> = {
  init,
  start,
  status,
  token,
  nodes,
  remove: async (input, paths, words) => await changeNode(input, paths, { words, action: 'remove' }),
  approve: async (input, paths, words) => await changeNode(input, paths, { words, action: 'approve' }),
  rename,
  audit,
  backup,
}

// --- init, start -------------------------------------------------------------------------------

async function init(input: CommandInput, paths: HubPaths, words: readonly string[]): Promise<void> {
  const { initHub } = await import('../../daemon/hub-process.js')
  const [name = 'overlay'] = words
  const settings = {
    address: input.value('address') ?? guessAddress(),
    port: portOf(input, 'port', DEFAULT_PORT),
    stunPort: portOf(input, 'stun-port', DEFAULT_STUN_PORT),
    stunAddresses: listOf(input.value('stun-address')),
    relays: listOf(input.value('relay')).map(parseRelay),
  }
  const network = { name, needsApproval: input.has('approve'), needsConsent: input.has('consent') }
  await initHub(paths, settings, network)
  if (input.output.isJson) printJson({ network: name, ...settings, state: paths.directory })
  else
    printLine(
      `hub of the network ${name}, for nodes at ${settings.address}:${settings.port}; now: overlay hub start`,
    )
}

/** Makes the hub first where there is none: one command is enough. */
async function start(input: CommandInput, paths: HubPaths, words: readonly string[]): Promise<void> {
  const { isHubInitialised } = await import('../../daemon/hub-state.js')
  const { runHub } = await import('../../daemon/hub-process.js')
  if (!isHubInitialised(paths)) await init(input, paths, words)
  await requireNotRunning(paths)
  await runHub({
    paths,
    isVerbose: input.output.isVerbose,
    maxBytesPerS: megabitsOf(input, 'rate-limit') * (1e6 / 8),
    onReady: (ready) => {
      if (input.output.isJson) printLine(JSON.stringify(ready))
      else printLine(`the hub of ${ready.network} runs; make a token: overlay hub token create`)
    },
  })
}

async function requireNotRunning(paths: HubPaths): Promise<void> {
  try {
    await ask(paths, { method: 'GET', path: '/v1/hub', answer: await schemaOf('hubStatus') })
  } catch (error) {
    if (error instanceof AppError && error.code === ERROR_CODES.notRunning) return
    throw error
  }
  throw new AppError(ERROR_CODES.alreadyRunning, `the hub in ${paths.directory} runs already`)
}

/** The first address that is neither loopback nor of this link alone, v4 before v6. */
function guessAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const usable = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  const address = (usable.find(({ family }) => family === 'IPv4') ?? usable[0])?.address
  if (address !== undefined) return address
  throw new UsageError('this machine has no address', { hint: 'say where nodes reach it: --address HOST' })
}

function parseRelay(text: string): { host: string; port: number; key: string } {
  const [, host = '', port = '', key = ''] = /^\[?([^\]]+?)\]?:(\d+):([A-Za-z0-9+/]{43}=)$/.exec(text) ?? []
  const number = tryParseInteger(port, 1, 65535)
  if (number !== undefined) return { host, port: number, key }
  throw new UsageError(`--relay cannot be "${text}"`, {
    hint: 'write host:port:key as overlay relay prints it',
  })
}

// --- administration ----------------------------------------------------------------------------

async function status(input: CommandInput, paths: HubPaths): Promise<void> {
  const answer = await ask(paths, { method: 'GET', path: '/v1/hub', answer: await schemaOf('hubStatus') })
  if (input.output.isJson) printJson(answer)
  else printLine(formatHubStatus(answer))
}

function formatHubStatus(answer: HubStatus): string {
  const rows: [string, string][] = [
    ['network', `${answer.network}  ${answer.prefix4}  ${answer.prefix6}`],
    [
      'address',
      `${answer.address}:${answer.port}, STUN at UDP ports ${answer.stunPort} and ${answer.stunPort + 1}`,
    ],
    [
      'nodes',
      `${answer.nodes}, ${answer.online} online${answer.needsApproval ? '; new ones wait for approval' : ''}`,
    ],
    [
      'relay',
      `${answer.relayClients} connected, ${answer.counters['relay.forwarded'] ?? 0} frames forwarded`,
    ],
    ['relay key', answer.relayKey],
    ['memory', `${Math.round(answer.memoryBytes / 1e6)} MB`],
  ]
  if (answer.needsConsent) rows.push(['consent', 'two nodes reach each other when both have said yes'])
  const odd = Object.entries(answer.counters).filter(
    ([name, value]) => value > 0 && /malformed|refused|turnedAway|rateLimited|ignored|overflow/.test(name),
  )
  if (odd.length > 0) rows.push(['refused', odd.map(([name, value]) => `${name} ${value}`).join(', ')])
  return rows.map(([label, value]) => `${label.padEnd(11)}${value}`).join('\n')
}

async function token(input: CommandInput, paths: HubPaths, words: readonly string[]): Promise<void> {
  if (words[0] !== 'create') {
    throw new UsageError('overlay hub token needs "create"', { hint: 'type: overlay hub token create' })
  }
  const uses = tryParseInteger(input.value('uses') ?? '1', 1, 1_000_000)
  if (uses === undefined) throw new UsageError('--uses must be a number from 1 to 1000000')
  const order = {
    name: input.value('name') ?? '',
    tags: listOf(input.value('tags')),
    uses,
    expiresS: parseDuration(input.value('expires') ?? DEFAULT_TOKEN_LIFETIME, '--expires'),
    isEphemeral: input.has('ephemeral'),
  }
  const request = {
    method: 'POST',
    path: '/v1/tokens',
    body: order,
    answer: await schemaOf('tokenAnswer'),
  } as const
  const answer = await ask(paths, request)
  if (input.output.isJson) printJson(answer)
  else {
    printLine(answer.token)
    printNote('on the new node, type: sudo overlay join TOKEN')
  }
}

async function nodes(input: CommandInput, paths: HubPaths): Promise<void> {
  const answer = await ask(paths, { method: 'GET', path: '/v1/nodes', answer: await schemaOf('hubNodes') })
  if (input.output.isJson) printJson(answer)
  else printLine(answer.length === 0 ? 'no node has joined yet' : formatTable(answer.map(nodeRow)))
}

function nodeRow(node: HubNode): string[] {
  const presence = node.isOnline ? 'online' : `last seen ${node.lastSeenAt}`
  const state = node.state === 'pending' ? 'waits for approval' : presence
  return [node.name, node.v4, node.v6, state, node.tags.join(',')]
}

async function changeNode(
  input: CommandInput,
  paths: HubPaths,
  change: { readonly words: readonly string[]; readonly action: 'remove' | 'approve' },
): Promise<void> {
  const { words, action } = change
  const [node] = words
  if (node === undefined) throw new UsageError(`overlay hub ${action} needs the name of a node`)
  const path = `/v1/nodes/${action}`
  const answer = await ask(paths, { method: 'POST', path, body: { node }, answer: await schemaOf('hubNode') })
  if (input.output.isJson) printJson(answer)
  else printLine(`${action}d ${answer.name}`)
}

async function rename(input: CommandInput, paths: HubPaths, words: readonly string[]): Promise<void> {
  const [node, name] = words
  if (node === undefined || name === undefined) {
    throw new UsageError('overlay hub rename needs two names', { hint: 'type: overlay hub rename OLD NEW' })
  }
  const body = { node, name }
  const request = {
    method: 'POST',
    path: '/v1/nodes/rename',
    body,
    answer: await schemaOf('hubNode'),
  } as const
  const answer = await ask(paths, request)
  if (input.output.isJson) printJson(answer)
  else printLine(`${node} is ${answer.name} now`)
}

async function audit(input: CommandInput, paths: HubPaths): Promise<void> {
  const answer = await ask(paths, {
    method: 'GET',
    path: '/v1/audit',
    answer: await schemaOf('auditEntries'),
  })
  if (input.output.isJson) printJson(answer)
  else printLine(formatTable(answer.map(({ at, event, subject, detail }) => [at, event, subject, detail])))
}

async function backup(input: CommandInput, paths: HubPaths, words: readonly string[]): Promise<void> {
  const [file] = words
  if (file === undefined) throw new UsageError('overlay hub backup needs the path of a new file')
  const body = { path: resolve(file) }
  const request = { method: 'POST', path: '/v1/backup', body, answer: await schemaOf('backupOrder') } as const
  const answer = await ask(paths, request)
  if (input.output.isJson) printJson(answer)
  else printLine(`wrote ${answer.path}; keep hub.key and hub.json of ${paths.directory} with it`)
}

async function schemaOf<K extends keyof typeof import('../../daemon/hub-schema.js')>(
  name: K,
): Promise<typeof import('../../daemon/hub-schema.js')[K]> {
  return (await import('../../daemon/hub-schema.js'))[name]
}

interface HubQuestion<T> {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
  readonly answer: ZodType<T>
}

async function ask<T>(paths: HubPaths, question: HubQuestion<T>): Promise<T> {
  const { callApi } = await import('../api-client.js')
  try {
    return await callApi({ ...question, socket: paths.socket, timeoutMs: TIMEOUT_MS })
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== ERROR_CODES.notRunning) throw error
    const hint = 'start it: overlay hub start'
    throw new AppError(ERROR_CODES.notRunning, `no hub runs in ${paths.directory}`, { hint, cause: error })
  }
}
