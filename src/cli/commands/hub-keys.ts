/** `overlay hub rotate-key`: other keys for the hub, which nodes and relays learn by the old ones. */

import type { Command } from '../command.js'
import { askHub, schemaOf } from '../hub-client.js'
import { printJson, printLine } from '../output.js'
import { parseDuration } from '../units.js'

const DEFAULT_OVERLAP = '7d'

export const rotateKey: Command = {
  name: 'rotate-key',
  positionals: '',
  about: 'change the keys of the hub; nodes learn the new ones while the old ones count beside them',
  options: { overlap: { about: 'for how long the old keys count', value: DEFAULT_OVERLAP } },
  examples: [
    ['sudo overlay hub rotate-key --overlap 30d', 'nodes that are away for longer have to join again'],
  ],
  async run(input) {
    const body = { overlapS: parseDuration(input.value('overlap') ?? DEFAULT_OVERLAP, '--overlap') }
    const answer = await askHub(input, {
      method: 'POST',
      path: '/v1/keys/rotate',
      body,
      answer: await schemaOf('keyChange'),
    })
    if (input.output.isJson) printJson(answer)
    else {
      printLine(`the keys are changed; the old ones count until ${answer.until}`)
      printLine('tokens and backups of before hold the old keys: make new ones')
      printLine('other relays learn them by themselves, if they have a session with the hub before that')
    }
    return 0
  },
}
