import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { AppError, ERROR_CODES } from '../../../src/base/errors.js'
import { createLogger } from '../../../src/base/log.js'
import { callApi } from '../../../src/cli/api-client.js'
import { checked } from '../../../src/daemon/api-request.js'
import { type LocalApiHandlers, startLocalApi } from '../../../src/daemon/local-api.js'
import { reloadResult, stopResult, trustOrder } from '../../../src/daemon/local-api-schema.js'

const log = createLogger({ level: 'error', write: () => undefined, wallNowMs: () => 0 })
let directory = ''
let path = ''
let running: { stop(): Promise<void> }

const handlers: LocalApiHandlers = {
  status: () => {
    throw new Error('a fault of ours')
  },
  reload: async () => {
    throw new AppError(ERROR_CODES.config, 'line 3 is wrong', { hint: 'mend it' })
  },
  stop: async () => ({ faults: ['one thing'] }),
  why: () => [],
  trustReport: () => ({ node: '', identity: '', isConsentNeeded: false, nodes: [] }),
  trust: (body) => checked(trustOrder, body),
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-api-'))
  path = join(directory, 'wg7.sock')
  writeFileSync(path, '') // what a dead daemon left
  running = await startLocalApi({ path, handlers, log })
})

afterEach(async () => {
  await running.stop()
  rmSync(directory, { recursive: true })
})

function ask<T>(method: 'GET' | 'POST', target: string, answer: z.ZodType<T>): Promise<T> {
  return callApi({ socket: path, method, path: target, answer, timeoutMs: 5000 })
}

async function post(target: string, body: string): Promise<{ status: number | undefined; text: string }> {
  return await new Promise((resolve, reject) => {
    const call = request({ socketPath: path, method: 'POST', path: target }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
    })
    call.on('error', reject)
    call.end(body)
  })
}

describe('the local API', () => {
  it('listens where a dead daemon left its socket, open to its owner only', () => {
    expect(statSync(path).isSocket()).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('answers', async () => {
    expect(await ask('POST', '/v1/stop', stopResult)).toEqual({ faults: ['one thing'] })
  })

  it('hands errors to the command with code, message and hint', async () => {
    const error = await ask('POST', '/v1/reload', reloadResult).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: 'line 3 is wrong', hint: 'mend it' })
  })

  it('is told apart from one of another version', async () => {
    const asked = ask('POST', '/v1/stop', z.object({ faults: z.number() }))
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('cannot understand') })
    await expect(asked).rejects.toMatchObject({ hint: expect.stringContaining('another version') })
  })

  it('calls its own faults by their name and lives on', async () => {
    await expect(ask('GET', '/v1/status', z.unknown())).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(ask('GET', '/v1/status', z.unknown())).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  it('says what it knows when asked for something else', async () => {
    const error = await ask('GET', '/v1/stop', z.unknown()).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'REQUEST_INVALID' })
    expect(error instanceof AppError ? error.hint : '').toContain('POST /v1/stop')
  })

  it.each([
    ['{"node": 7}', 'node'],
    ['{"node": "a", "isRevoked": "yes"}', 'isRevoked'],
    ['{}', 'node'],
    ['7', ''],
    ['', ''],
    ['{"node":', ''],
  ])('refuses the body %s with 400 and the name of the field', async (body, field) => {
    const { status, text } = await post('/v1/trust', body)
    const { error } = JSON.parse(text) as { error: Record<string, unknown> }
    expect(status).toBe(400)
    expect(error).toMatchObject({ code: 'REQUEST_INVALID', field })
    expect(error.message).not.toContain('\n')
  })

  it('hands the name of the field to the command', async () => {
    const asked = callApi({
      socket: path,
      method: 'POST',
      path: '/v1/trust',
      body: { node: 7 },
      answer: z.unknown(),
      timeoutMs: 5000,
    })
    await expect(asked).rejects.toMatchObject({ code: 'REQUEST_INVALID', field: 'node' })
  })

  it('lets go of a client that sends nonsense or a body without end', async () => {
    for (const text of [
      '\u0000\u0001\u0002\r\n\r\n',
      `POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n${'x'.repeat(200_000)}`,
      `GET /${'y'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    ]) {
      const socket = connect(path)
      socket.on('error', () => undefined)
      socket.write(text)
      socket.resume()
      await new Promise((resolve) => socket.on('close', resolve))
    }
    expect(await ask('POST', '/v1/stop', stopResult)).toEqual({ faults: ['one thing'] })
  })

  it('lets go of a client that never finishes its request', async () => {
    const slowPath = join(directory, 'slow.sock')
    const impatient = await startLocalApi({ path: slowPath, handlers, log, requestTimeoutMs: 20 })
    const socket = connect(slowPath)
    socket.on('error', () => undefined)
    socket.write('GET /v1/status HTTP/1.1\r\n')
    socket.resume()
    await new Promise((resolve) => socket.on('close', resolve))
    await impatient.stop()
  })

  it('leaves no socket behind, and whoever asks then is told that nothing runs', async () => {
    await running.stop()
    expect(existsSync(path)).toBe(false)
    await expect(ask('GET', '/v1/status', z.unknown())).rejects.toMatchObject({ code: 'NOT_RUNNING' })
  })
})
