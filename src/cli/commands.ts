/** All commands, in the order of the help. */

import type { CommandEntry } from './command.js'
import { completion } from './commands/completion.js'
import { device } from './commands/device.js'
import { down } from './commands/down.js'
import { check, strip } from './commands/files.js'
import { hooks } from './commands/hooks.js'
import { hub } from './commands/hub.js'
import { join } from './commands/join.js'
import { genkey, genpsk, pubkey } from './commands/keys.js'
import { lab } from './commands/lab.js'
import { leave } from './commands/leave.js'
import { netcheck } from './commands/netcheck.js'
import { ping } from './commands/ping.js'
import { relay } from './commands/relay.js'
import { status } from './commands/status.js'
import { trust } from './commands/trust.js'
import { up } from './commands/up.js'
import { wait } from './commands/wait.js'
import { why } from './commands/why.js'

export const COMMANDS: readonly CommandEntry[] = [
  up,
  down,
  status,
  genkey,
  pubkey,
  genpsk,
  check,
  strip,
  hooks,
  device,
  lab,
  ping,
  wait,
  why,
  trust,
  netcheck,
  join,
  leave,
  hub,
  relay,
  completion(() => COMMANDS),
]
