/** `overlay hub nodes` and what changes a node: who is in the network. */

import { UsageError } from '../../base/errors.js'
import type { HubNode } from '../../daemon/hub-schema.js'
import type { Command, CommandInput } from '../command.js'
import { askHub, hubCommandOf, schemaOf } from '../hub-client.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable } from '../units.js'

export const nodes: Command = {
  name: 'nodes',
  positionals: '',
  about: 'who is in the network, and who waits',
  options: {},
  examples: [['sudo overlay hub nodes', 'name, addresses, state, tags']],
  async run(input) {
    const question = { method: 'GET', path: '/v1/nodes', answer: await schemaOf('hubNodes') } as const
    const answer = await askHub(input, question)
    if (input.output.isJson) printJson(answer)
    else printNodes(answer, await hubCommandOf(input))
    return 0
  },
}

/** Those who wait stand last, where the hint is; what keeps going wrong below. */
function printNodes(all: readonly HubNode[], command: string): void {
  const waiting = all.filter(({ state }) => state === 'pending')
  const others = all.filter(({ state }) => state !== 'pending')
  const troubles = all.flatMap(({ name, trouble }) => (trouble === undefined ? [] : `${name}: ${trouble}`))
  const table =
    all.length === 0 ? 'no node has joined yet' : formatTable([...others, ...waiting].map(nodeRow))
  printLine([table, ...troubles].join('\n'))
  const [first] = waiting
  if (first !== undefined)
    printNote(`let it in: ${command} approve ${first.name}; or: ${command} reject ${first.name}`)
}

function nodeRow(node: HubNode): string[] {
  const presence = node.isOnline ? 'online' : `last seen ${node.lastSeenAt}`
  const state =
    node.state === 'pending' ? `waits for approval since ${node.createdAt}, ${presence}` : presence
  return [node.name, node.v4, node.v6, state, node.tags.join(',')]
}

export const remove: Command = {
  name: 'remove',
  positionals: '<node>',
  about: 'put a node out of the network, at once',
  options: {},
  examples: [['sudo overlay hub remove planner', 'it comes back with a new token only']],
  async run(input) {
    const node = await changeNode(input, '/v1/nodes/remove', { node: input.words[0] })
    printResult(input, node, `removed ${node.name}`)
    return 0
  },
}

export const approve: Command = {
  name: 'approve',
  positionals: '<node>',
  about: 'let a node in that waits',
  options: {},
  examples: [['sudo overlay hub approve planner', 'see who waits: overlay hub nodes']],
  async run(input) {
    const node = await changeNode(input, '/v1/nodes/approve', { node: input.words[0] })
    printResult(input, node, `approved ${node.name}`)
    return 0
  },
}

export const reject: Command = {
  name: 'reject',
  positionals: '<node>',
  about: 'turn a node away that waits; it is told so',
  options: {},
  examples: [['sudo overlay hub reject planner', 'see who waits: overlay hub nodes']],
  async run(input) {
    const node = await changeNode(input, '/v1/nodes/reject', { node: input.words[0] })
    printResult(input, node, `rejected ${node.name}`)
    return 0
  },
}

export const tag: Command = {
  name: 'tag',
  positionals: '<node> <changes..>',
  about: 'give a node tags (+web) and take some away (-db), at once',
  options: {},
  examples: [['sudo overlay hub tag planner +web -db', 'nodes with tags see those that share one']],
  takesDashWords: true,
  async run(input) {
    const [node, ...words] = input.words
    const changes = words.flatMap((word) => word.split(',')).filter((word) => word !== '')
    const wrong = changes.find((word) => !/^[+-]./.test(word))
    if (wrong !== undefined) {
      throw new UsageError(`"${wrong}" says neither to give nor to take a tag`, {
        hint: `write +${wrong} or -${wrong}`,
      })
    }
    const withSign = (sign: string): string[] =>
      changes.filter((word) => word.startsWith(sign)).map((word) => word.slice(1))
    const body = { node, add: withSign('+'), remove: withSign('-') }
    const tagged = await changeNode(input, '/v1/nodes/tag', body)
    printResult(input, tagged, `tags of ${tagged.name}: ${tagged.tags.join(', ') || 'none'}`)
    return 0
  },
}

export const rename: Command = {
  name: 'rename',
  positionals: '<node> <name>',
  about: 'give a node another name',
  options: {},
  examples: [['sudo overlay hub rename planner planner-old', 'the others hear of it at once']],
  async run(input) {
    const [node, name] = input.words
    const renamed = await changeNode(input, '/v1/nodes/rename', { node, name })
    printResult(input, renamed, `${node} is ${renamed.name} now`)
    return 0
  },
}

async function changeNode(input: CommandInput, path: string, body: unknown): Promise<HubNode> {
  return await askHub(input, { method: 'POST', path, body, answer: await schemaOf('hubNode') })
}

function printResult(input: CommandInput, node: HubNode, text: string): void {
  if (input.output.isJson) printJson(node)
  else printLine(text)
}
