/**
 * One question to the router over HTTP. It is a stranger's program: answers are bounded in time and size,
 * and nothing leads away from its address. Redirections are not followed, no proxy is used.
 */

import { request } from 'node:http'
import { formatIp, type IpAddress } from '../../net/ip.js'
import type { RouterAnswer, RouterRequest } from '../../paths/upnp.js'

const MAX_ANSWER_BYTES: number = 64 * 1024

/** Never rejects: undefined if there is no whole answer within `patienceMs`, or one that is too long. */
export async function askRouter(
  router: IpAddress,
  { url, call }: RouterRequest,
  patienceMs: number,
): Promise<RouterAnswer | undefined> {
  const to = { host: formatIp(router), port: url.port, path: url.path, method: call ? 'POST' : 'GET' }
  const headers = call && {
    'Content-Type': 'text/xml; charset="utf-8"',
    'Content-Length': String(new TextEncoder().encode(call.body).length),
    SOAPAction: call.soapAction,
  }
  const signal = AbortSignal.timeout(patienceMs)
  return await new Promise((resolve) => {
    const options = { ...to, ...(headers && { headers }), agent: false, signal }
    const question = request(options, (answer) => {
      const chunks: Uint8Array[] = []
      let left = MAX_ANSWER_BYTES
      answer.on('data', (chunk: Uint8Array) => {
        left -= chunk.length
        if (left < 0) answer.destroy()
        else chunks.push(chunk)
      })
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        // An answer that was cut for its length ends too.
        resolve(left < 0 ? undefined : { status: answer.statusCode ?? 0, text })
      })
      answer.on('error', () => undefined)
      answer.on('close', () => resolve(undefined))
    })
    question.on('error', () => resolve(undefined))
    // Also where no answer is told of: one that asks for another protocol.
    question.on('close', () => resolve(undefined))
    question.end(call?.body)
  })
}
