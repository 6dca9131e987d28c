/** `overlay hub nodes` and what changes a node: who is in the network. */

import type { HubNode } from '../../daemon/hub-schema.js'
import type { Command, CommandInput } from '../command.js'
import { askHub, schemaOf } from '../hub-client.js'
import { printJson, printLine } from '../output.js'
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
    else printLine(answer.length === 0 ? 'no node has joined yet' : formatNodes(answer))
    return 0
  },
}

/** With what keeps going wrong below. */
function formatNodes(answer: readonly HubNode[]): string {
  const troubles = answer.flatMap(({ name, trouble }) => (trouble === undefined ? [] : `${name}: ${trouble}`))
  return [formatTable(answer.map(nodeRow)), ...troubles].join('\n')
}

function nodeRow(node: HubNode): string[] {
  const presence = node.isOnline ? 'online' : `last seen ${node.lastSeenAt}`
  const state = node.state === 'pending' ? 'waits for approval' : presence
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
