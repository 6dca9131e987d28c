/** `overlay lab`: an internet on this machine, with NATs of every kind, to see what gets through. */

import { UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { RouterKind } from '../../lab/routers.js'
import type { MappingProtocol } from '../../lab/site.js'
import type { Command, CommandGroup, CommandInput } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable } from '../units.js'

const DEFAULT_PAIRS = [
  'open portRestricted',
  'fullCone fullCone',
  'addressRestricted portRestricted',
  'portRestricted portRestricted',
  'carrierDouble portRestricted',
  'symmetricRandom fullCone',
]

const RTT = { rtt: { about: 'round trip across the internet, in ms', value: '40' } }
const LOSS = { loss: { about: 'packets lost on the way, in percent', value: '0' } }
const PAIR_OPTIONS = {
  tries: { about: 'for each pair', value: '5' },
  ...RTT,
  ...LOSS,
  mapping: {
    about: 'by which the left router maps ports: nat-pmp or upnp; needs miniupnpd',
    value: 'none',
  },
  flows: { about: 'of others behind the right router, a second', value: '0' },
  v6: { about: 'with IPv6 behind a stateful firewall' },
}

const pairs: Command = {
  name: 'pairs',
  positionals: '[routers..]',
  about: 'pairs of routers; the easy ones if none is named',
  options: PAIR_OPTIONS,
  examples: [],
  async run(input) {
    return await runPairs(input, await pairsOf(input.words))
  },
}

const matrix: Command = {
  name: 'matrix',
  positionals: '',
  about: 'each kind of router with each; takes a quarter of an hour',
  options: PAIR_OPTIONS,
  examples: [['sudo overlay lab matrix --tries 2', 'a quick one']],
  async run(input) {
    const { ROUTER_KINDS } = await import('../../lab/routers.js')
    const all = ROUTER_KINDS.flatMap((left, i) =>
      ROUTER_KINDS.slice(i).map((right): [RouterKind, RouterKind] => [left, right]),
    )
    return await runPairs(input, all)
  },
}

const bench: Command = {
  name: 'bench',
  positionals: '',
  about: 'all that must be reached, with its aim',
  options: {
    tries: { about: 'of each case', value: '20' },
    long: { about: 'also with a hub that is dead for ten minutes' },
  },
  examples: [['sudo overlay lab bench --long', 'and ten minutes without a hub']],
  run: runBench,
}

const faults: Command = {
  name: 'faults',
  positionals: '',
  about: 'networks that restrict, and networks that change',
  options: { ...RTT, ...LOSS, long: { about: 'also with a hub that is dead for ten minutes' } },
  examples: [['sudo overlay lab faults', 'how long data stands still']],
  run: runFaults,
}

/** A part of a laboratory that runs as a program of its own inside it. */
function internal(name: string, run: (words: readonly string[]) => Promise<number>): Command {
  return {
    name,
    positionals: '[words..]',
    about: `the ${name} of a laboratory`,
    options: {},
    examples: [],
    isInternal: true,
    run: async ({ words }) => await run(words),
  }
}

export const lab: CommandGroup = {
  name: 'lab',
  about: 'try pairs of NATs in network namespaces; needs root, ip, nft and conntrack',
  options: {},
  examples: [
    ['sudo overlay lab', 'the easy pairs'],
    ['sudo overlay lab matrix --tries 2', 'each kind with each; takes a quarter of an hour'],
    ['sudo overlay lab bench', 'all that must be reached, with its aim'],
    ['sudo overlay lab faults', 'networks that restrict, and networks that change'],
    ['sudo overlay lab portRestricted symmetricRandom --tries 20', 'one pair'],
  ],
  commands: [
    matrix,
    bench,
    faults,
    internal('delay', runDelay),
    internal('proxy', runProxy),
    internal('flows', runFlows),
  ],
  otherwise: pairs,
}

async function runPairs(
  input: CommandInput,
  chosen: readonly (readonly [RouterKind, RouterKind])[],
): Promise<number> {
  const { measurePair, PAIR_COLUMNS, pairRow } = await import('../../lab/matrix.js')
  const { ROUTER_WORDS } = await import('../../lab/routers.js')
  const options = {
    tries: numberOf(input, 'tries', 5, 1),
    rttMs: numberOf(input, 'rtt', 40, 0),
    lossPercent: numberOf(input, 'loss', 0, 0),
    hasV6: input.has('v6'),
    mapping: await mappingOf(input.value('mapping')),
    foreignFlowsPerS: numberOf(input, 'flows', 0, 0),
  }
  const results = []
  for (const [left, right] of chosen) {
    if (!input.output.isJson) printNote(`${ROUTER_WORDS[left]} × ${ROUTER_WORDS[right]} …`)
    results.push(await measurePair(left, right, options))
  }
  if (input.output.isJson) printJson(results)
  else printLine(formatTable([PAIR_COLUMNS, ...results.map(pairRow)]))
  return 0
}

async function runBench(input: CommandInput): Promise<number> {
  const { runLabBench } = await import('../../lab/bench.js')
  const rows: string[][] = []
  await runLabBench({ tries: numberOf(input, 'tries', 20, 1), isLong: input.has('long') }, (row) => {
    rows.push([row.name, row.result, row.aim])
    if (input.output.isJson) printLine(JSON.stringify(row))
    else printNote(`${row.name}: ${row.result}`)
  })
  if (!input.output.isJson) printLine(formatTable([['case', 'measured', 'at least'], ...rows]))
  return 0
}

async function runFaults(input: CommandInput): Promise<number> {
  const { measureHubDeath, measureInterruptions, measureRelayDeath } = await import(
    '../../lab/interruptions.js'
  )
  const { measureRestrictions } = await import('../../lab/faults.js')
  const options = { rttMs: numberOf(input, 'rtt', 40, 0), lossPercent: numberOf(input, 'loss', 0, 0) }
  const results = [
    ...(await measureRestrictions(options)),
    ...(await measureInterruptions(options)),
    await measureRelayDeath(options),
    ...(input.has('long') ? await measureHubDeath(options) : []),
  ]
  if (input.output.isJson) printJson(results)
  else
    printLine(
      formatTable(results.map(({ name, ms, how }) => [name, ms === null ? 'never' : `${ms} ms`, how])),
    )
  return 0
}

async function runDelay([name = '', delay = '', loss = '']: readonly string[]): Promise<number> {
  const { startDelayLine } = await import('../../lab/delay-line.js')
  startDelayLine(name, Number(delay), Number(loss))
  printLine('ready')
  return await new Promise<number>(() => undefined)
}

async function runProxy([port = '', credentials = '']: readonly string[]): Promise<number> {
  const { startProxy } = await import('../../lab/proxy.js')
  await startProxy(Number(port), credentials)
  printLine('ready')
  return await new Promise<number>(() => undefined)
}

async function mappingOf(text: string | undefined): Promise<MappingProtocol | undefined> {
  const { MAPPING_PROTOCOLS } = await import('../../lab/site.js')
  const protocol = MAPPING_PROTOCOLS.find((candidate) => candidate === text)
  if (text === undefined || protocol !== undefined) return protocol
  throw new UsageError(`--mapping cannot be "${text}"`, { hint: `write ${MAPPING_PROTOCOLS.join(' or ')}` })
}

async function runFlows([address = '', perSecond = '', seconds = '']: readonly string[]): Promise<number> {
  const { makeFlows } = await import('../../lab/flows.js')
  await makeFlows(address, Number(perSecond), Number(seconds))
  return 0
}

async function pairsOf(words: readonly string[]): Promise<[RouterKind, RouterKind][]> {
  const { ROUTER_KINDS } = await import('../../lab/routers.js')
  const kinds = words.length === 0 ? DEFAULT_PAIRS.flatMap((pair) => pair.split(' ')) : words
  const known = kinds.map((word) => {
    const kind = ROUTER_KINDS.find((candidate) => candidate === word)
    if (kind !== undefined) return kind
    throw new UsageError(`there is no router "${word}"`, {
      hint: `routers: ${ROUTER_KINDS.join(', ')}; see also: overlay lab --help`,
    })
  })
  if (known.length % 2 !== 0) throw new UsageError('name routers in pairs')
  const found: [RouterKind, RouterKind][] = []
  for (let i = 0; i + 1 < known.length; i += 2)
    found.push([known[i] as RouterKind, known[i + 1] as RouterKind])
  return found
}

function numberOf(input: CommandInput, option: string, otherwise: number, least: number): number {
  const text = input.value(option)
  const value = text === undefined ? otherwise : tryParseInteger(text, least, 10_000)
  if (value !== undefined) return value
  throw new UsageError(`--${option} cannot be "${text}"`, { hint: `write a number from ${least}` })
}
