/** The file that holds a node's identity: the seed of its Ed25519 key in base64. Nobody else may read it. */

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { formatBase64, tryParseBase64, wipe } from '../../base/bytes.js'
import { AppError, ConfigError, ERROR_CODES, PlatformError } from '../../base/errors.js'
import { type Identity, identityFromSeed } from '../../control/identity.js'
import { replaceFile } from '../../platform/replace-file.js'
import { toPlatformError } from '../../platform/system-error.js'

const SEED_BYTES = 32
const OTHERS = 0o077

/** `wayOut`: what to do where it is lost. Throws ConfigError, PlatformError; no message holds the seed. */
export function readIdentityFile(path: string, wayOut = 'join anew'): Identity {
  let text: string
  try {
    if ((statSync(path).mode & OTHERS) !== 0) {
      throw new AppError(ERROR_CODES.config, `${path} holds an identity, and others may read it`, {
        hint: `type: chmod 600 ${path}`,
      })
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof AppError) throw error
    throw toPlatformError(error, `cannot read ${path}`, `run as root; if the file is lost, ${wayOut}`)
  }
  const seed = tryParseBase64(text.trim())
  if (seed?.length !== SEED_BYTES) {
    const hint = `put the file back from a copy, or ${wayOut}`
    throw new ConfigError([
      { file: path, line: 0, message: 'it holds no identity: 32 bytes in base64', hint },
    ])
  }
  const identity = identityFromSeed(seed)
  wipe(seed)
  return identity
}

/** A new identity in a new file, whole or not at all. Throws PlatformError, for instance if the file is there. */
export function createIdentityFile(path: string): Identity {
  if (existsSync(path)) {
    const hint = 'remove it if it is of no use any more'
    throw new PlatformError(`cannot write ${path}: it is there already`, {
      errno: 'EEXIST',
      syscall: 'open',
      hint,
    })
  }
  const seed = new Uint8Array(randomBytes(SEED_BYTES))
  replaceFile(path, `${formatBase64(seed)}\n`, `cannot write ${path}`)
  return identityFromSeed(seed)
}
