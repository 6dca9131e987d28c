/** `overlay hub token`: what lets new nodes in. */

import { UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { HubToken } from '../../daemon/hub-schema.js'
import type { Command, CommandGroup } from '../command.js'
import { askHub, schemaOf } from '../hub-client.js'
import { listOf } from '../options.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable, parseDuration } from '../units.js'

const DEFAULT_LIFETIME = '24h'
const MAX_USES = 1_000_000

const create: Command = {
  name: 'create',
  positionals: '',
  about: 'make a token for new nodes, and print it',
  options: {
    name: { about: 'name of the node that uses it', value: 'its own choice' },
    tags: { about: 'tags of the node, with commas', value: 'none' },
    uses: { about: 'how many nodes may use it', value: '1' },
    expires: { about: 'how long it is valid', value: DEFAULT_LIFETIME },
    ephemeral: { about: 'the node is forgotten when it has been away for 5 minutes' },
  },
  examples: [['sudo overlay hub token create --name planner', 'for one node and one day']],
  async run(input) {
    const uses = tryParseInteger(input.value('uses') ?? '1', 1, MAX_USES)
    if (uses === undefined) throw new UsageError(`--uses must be a number from 1 to ${MAX_USES}`)
    const body = {
      name: input.value('name') ?? '',
      tags: listOf(input.value('tags')),
      uses,
      expiresS: parseDuration(input.value('expires') ?? DEFAULT_LIFETIME, '--expires'),
      isEphemeral: input.has('ephemeral'),
    }
    const question = {
      method: 'POST',
      path: '/v1/tokens',
      body,
      answer: await schemaOf('tokenAnswer'),
    } as const
    const answer = await askHub(input, question)
    if (input.output.isJson) printJson(answer)
    else {
      printLine(answer.token)
      printNote(`that is token ${answer.id}; on the new node, type: sudo overlay join, and paste it`)
    }
    return 0
  },
}

const list: Command = {
  name: 'list',
  positionals: '',
  about: 'tokens that are valid',
  options: {},
  examples: [['sudo overlay hub token list', 'id, until when, for how many nodes, which']],
  async run(input) {
    const question = { method: 'GET', path: '/v1/tokens', answer: await schemaOf('hubTokens') } as const
    const answer = await askHub(input, question)
    if (input.output.isJson) printJson(answer)
    else printLine(answer.length === 0 ? 'no token is valid' : formatTable(answer.map(tokenRow)))
    return 0
  },
}

function tokenRow({ id, name, tags, usesLeft, isEphemeral, expiresAt }: HubToken): string[] {
  const uses = `${usesLeft} ${usesLeft === 1 ? 'node' : 'nodes'}`
  return [id, `until ${expiresAt}`, uses, name, tags.join(','), isEphemeral ? 'ephemeral' : '']
}

const revoke: Command = {
  name: 'revoke',
  positionals: '<id>',
  about: 'take a token back: nobody new comes in with it',
  options: {},
  examples: [['sudo overlay hub token revoke 3f9a02c1d4', 'the id is in: overlay hub token list']],
  async run(input) {
    const body = { id: input.words[0] }
    const path = '/v1/tokens/revoke'
    const answer = await askHub(input, { method: 'POST', path, body, answer: await schemaOf('hubToken') })
    if (input.output.isJson) printJson(answer)
    else printLine(`revoked ${answer.id}; nodes that came with it stay`)
    return 0
  },
}

export const token: CommandGroup = {
  name: 'token',
  about: 'what lets new nodes in',
  options: {},
  examples: [['sudo overlay hub token create --name planner', 'prints a token for: overlay join']],
  commands: [create, list, revoke],
}
