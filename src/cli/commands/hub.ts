/** `overlay hub`: the control server of a network. Its commands are in files of their own: hub-*.ts. */

import type { CommandGroup } from '../command.js'
import { backup, restore } from './hub-backup.js'
import { front } from './hub-front.js'
import { rotateKey } from './hub-keys.js'
import { init, start } from './hub-make.js'
import { approve, nodes, reject, remove, rename, tag } from './hub-nodes.js'
import { relay } from './hub-relays.js'
import { audit, status } from './hub-report.js'
import { token } from './hub-tokens.js'

export const hub: CommandGroup = {
  name: 'hub',
  about: 'make and run the hub of a network: who is in it, and how nodes find each other',
  options: {
    state: { about: 'directory of the hub’s state', value: '/var/lib/overlay-hub' },
  },
  examples: [
    ['sudo overlay hub init home --address hub.example.org', 'once'],
    ['sudo overlay hub start', 'runs until it is ended'],
    ['sudo overlay hub token create --name planner', 'prints a token for: overlay join'],
    ['sudo overlay hub nodes', 'who is in the network'],
    ['sudo overlay hub remove planner', 'takes effect at once'],
  ],
  commands: [
    init,
    start,
    front,
    status,
    token,
    nodes,
    approve,
    reject,
    remove,
    rename,
    tag,
    rotateKey,
    relay,
    audit,
    backup,
    restore,
  ],
}
