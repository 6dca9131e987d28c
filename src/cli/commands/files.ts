/** `overlay check` and `overlay strip`: what a tunnel file says, without touching anything. */

import { ConfigError, formatIssue } from '../../base/errors.js'
import type { Command } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { findTunnel } from '../tunnel-name.js'

export const check: Command = {
  name: 'check',
  positionals: '<target>',
  about: 'report all faults of a tunnel file and change nothing',
  options: {},
  examples: [['overlay check ./wg0.conf', 'exit code 0 if it can be brought up']],
  async run({ words, output }) {
    const { file, interfaceName } = findTunnel(words[0] ?? '')
    const { findEndpointLoops } = await import('../../config/endpoint-loops.js')
    const { mainRouteTo } = await import('../../daemon/endpoint-routes.js')
    const { findExposedFiles, loadTunnelFrom, parseTunnelFile } = await import('../../daemon/tunnel-file.js')
    try {
      const { config, warnings } = parseTunnelFile(file)
      // A PreUp hook may be what puts the key there.
      if (config.interface.preUp.length === 0) loadTunnelFrom(file).withPrivateKey(config)
      const exposed = findExposedFiles(file, config)
      const loops = findEndpointLoops(config, (address) => mainRouteTo(address, interfaceName))
      if (output.isJson) printJson({ file, faults: [], warnings, exposed, loops })
      else {
        const all = [...warnings.map(formatIssue), ...exposed, ...loops]
        for (const text of all) printNote(`warning: ${text}`)
        printLine(`${file} is fine; peers: ${config.peers.length}`)
      }
      return 0
    } catch (error) {
      if (!(error instanceof ConfigError) || !output.isJson) throw error
      printJson({ file, faults: error.issues, warnings: [], exposed: [], loops: [] })
      return 1
    }
  },
}

export const strip: Command = {
  name: 'strip',
  positionals: '<target>',
  about: 'print the part of a tunnel file that `wg setconf` takes; it holds the private key',
  options: {},
  examples: [['overlay strip wg0 | sudo wg syncconf wg0 /dev/stdin', 'give changed peers to wg']],
  async run({ words, output }) {
    const { file } = findTunnel(words[0] ?? '')
    const { loadTunnelFrom } = await import('../../daemon/tunnel-file.js')
    const { stripConfig } = await import('../../config/format.js')
    const load = loadTunnelFrom(file)
    const text = stripConfig(load.withPrivateKey(load.parse()))
    if (output.isJson) printJson({ file, text })
    else process.stdout.write(text)
    return 0
  },
}
