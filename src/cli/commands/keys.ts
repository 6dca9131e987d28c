/** `overlay genkey`, `pubkey`, `genpsk`: keys in and out as base64, compatible with `wg`. */

import { randomBytes } from 'node:crypto'
import { fstatSync } from 'node:fs'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import { formatKeyBase64, type PrivateKey, tryParseKeyBase64 } from '../../wireguard/keys.js'
import type { Command, CommandInput } from '../command.js'
import { readInput } from '../input.js'
import { printJson, printLine, printNote } from '../output.js'

const STANDARD_OUTPUT = 1

export const genkey: Command = {
  name: 'genkey',
  positionals: '',
  about: 'print a new private key',
  options: {},
  examples: [['(umask 077; overlay genkey > private.key)', 'a file that only you can read']],
  async run({ output }) {
    warnIfExposed()
    const { nodeCrypto } = await import('../../wireguard/crypto-node.js')
    const key = nodeCrypto.dhPrivateKey(new Uint8Array(randomBytes(32)))
    print(output, 'privateKey', formatKeyBase64(key.bytes))
    return 0
  },
}

export const genpsk: Command = {
  name: 'genpsk',
  positionals: '',
  about: 'print a new preshared key',
  options: {},
  examples: [['(umask 077; overlay genpsk > preshared.key)', 'a file that only you can read']],
  async run({ output }) {
    warnIfExposed()
    print(output, 'presharedKey', randomBytes(32).toString('base64'))
    return 0
  },
}

export const pubkey: Command = {
  name: 'pubkey',
  positionals: '',
  about: 'read a private key from the standard input and print its public key',
  options: {},
  examples: [['overlay pubkey < private.key', 'the key to give to peers']],
  async run({ output }) {
    const privateKey = tryParseKeyBase64<PrivateKey>(readInput().trim())
    if (privateKey === undefined) {
      throw new AppError(ERROR_CODES.config, 'the standard input holds no private key', {
        hint: 'it must be 44 characters of base64, as overlay genkey prints it',
      })
    }
    const { nodeCrypto } = await import('../../wireguard/crypto-node.js')
    print(output, 'publicKey', formatKeyBase64(nodeCrypto.dhPrivateKey(privateKey).publicKey))
    return 0
  },
}

function print(output: CommandInput['output'], name: string, key: string): void {
  if (output.isJson) printJson({ [name]: key })
  else printLine(key)
}

/** A secret that goes into a file others may read deserves a word, to a person who can see it. */
function warnIfExposed(): void {
  if (process.stderr.isTTY !== true) return
  const stat = fstatSync(STANDARD_OUTPUT)
  if (stat.isFile() && (stat.mode & 0o007) !== 0) {
    printNote('warning: others may read the file that the key is written to; set `umask 077` before')
  }
}
