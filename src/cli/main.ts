/**
 * Where the program starts. One of the few places that catch everything: whatever goes wrong leaves as
 * a message with a hint, or as one JSON value, and as an exit code by class of error.
 */

import { exitCodeOf } from '../base/errors.js'
import { BACKGROUND_WORD } from './command.js'
import { endWithoutOutput, printError } from './output.js'

export async function main(words: readonly string[]): Promise<void> {
  endWithoutOutput()
  try {
    if (words[0] === BACKGROUND_WORD) {
      const { runInBackground } = await import('./background.js')
      await runInBackground(words.slice(1))
      return
    }
    const { COMMANDS } = await import('./commands.js')
    const { parseCommandLine } = await import('./parser.js')
    const invocation = await parseCommandLine(words, COMMANDS)
    if (invocation === undefined) return
    process.exitCode = await invocation.command.run(invocation.input)
  } catch (error) {
    // The command line may be what is wrong, so these two are looked for without parsing it.
    const isVerbose = words.includes('--verbose') || words.includes('-v')
    printError(error, { isJson: words.includes('--json'), isVerbose })
    process.exitCode = exitCodeOf(error)
  }
}
