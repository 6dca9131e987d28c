/** The file that holds a node's identity: the seed of its Ed25519 key in base64. Nobody else may read it. */

import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { formatBase64, tryParseBase64, wipe } from '../../base/bytes.js'
import { AppError, ConfigError, ERROR_CODES } from '../../base/errors.js'
import { type Identity, identityFromSeed } from '../../control/identity.js'
import { toPlatformError } from '../../platform/system-error.js'

const SEED_BYTES = 32
const OTHERS = 0o077

/** Throws ConfigError, PlatformError; no message holds the seed. */
export function readIdentityFile(path: string): Identity {
  let text: string
  try {
    if ((statSync(path).mode & OTHERS) !== 0) {
      throw new AppError(ERROR_CODES.config, `${path} is this node's identity, and others may read it`, {
        hint: `type: chmod 600 ${path}`,
      })
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof AppError) throw error
    throw toPlatformError(error, `cannot read ${path}`, 'run as root; if the file is lost, join anew')
  }
  const seed = tryParseBase64(text.trim())
  if (seed?.length !== SEED_BYTES) {
    const hint = 'put the file back from a copy, or join anew'
    throw new ConfigError([
      { file: path, line: 0, message: 'it holds no identity: 32 bytes in base64', hint },
    ])
  }
  const identity = identityFromSeed(seed)
  wipe(seed)
  return identity
}

/** A new identity in a new file. Throws PlatformError, for instance if the file is there. */
export function createIdentityFile(path: string): Identity {
  const seed = new Uint8Array(randomBytes(SEED_BYTES))
  try {
    writeFileSync(path, `${formatBase64(seed)}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw toPlatformError(error, `cannot write ${path}`, 'remove it if it is of no use any more')
  }
  return identityFromSeed(seed)
}
