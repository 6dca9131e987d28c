/** `overlay hub front`: the process of a hub that listens for the world. `overlay hub start` starts it. */

import { fileURLToPath } from 'node:url'
import { UsageError } from '../../base/errors.js'
import type { Command } from '../command.js'

const LAUNCHER = fileURLToPath(new URL('../../../bin/overlay', import.meta.url))

/** What starts it: executable and arguments. Its plan comes over the channel to whoever started it. */
export const FRONT_COMMAND: readonly string[] = [process.execPath, LAUNCHER, 'hub', 'front']

export const front: Command = {
  name: 'front',
  positionals: '',
  about: 'the process of a hub that listens for nodes and relays',
  options: {},
  examples: [],
  isInternal: true,
  async run() {
    if (process.send === undefined) {
      throw new UsageError('this is a part of another command', { hint: 'type: overlay hub start' })
    }
    const { runFront } = await import('../../daemon/hub-front.js')
    await runFront()
    process.exit() // connections that linger must not hold it
  },
}
