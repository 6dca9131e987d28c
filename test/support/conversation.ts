/** Talks of programs in a laboratory (test/lab/conversation.mjs), as a test sees them. */

import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { LabNode } from '../../src/lab/network.js'
import { until } from './lab.js'

export const CONVERSATION: string = join(import.meta.dirname, '../lab/conversation.mjs')

interface Talks {
  readonly [program: string]: { readonly answers: number; readonly broken: number }
}

/** Of ordinary programs with their servers on another node, until it is ended. */
export class Conversation {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #talks: Talks = {}
  #trouble = ''

  constructor(node: LabNode, host: string) {
    this.#child = node.site.host.start([process.execPath, CONVERSATION, 'talk', host], (line) => {
      if (line.startsWith('{')) this.#talks = JSON.parse(line) as Talks
      else this.#trouble += `${line}\n`
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve))
  }

  /** Each program got several since this was called. */
  async untilMoreAnswers(): Promise<void> {
    const before = this.#talks
    await until('all programs got answers', () => {
      if (this.#trouble !== '') throw new Error(this.#trouble)
      const talks = Object.entries(this.#talks)
      return (
        talks.length > 0 && talks.every(([key, { answers }]) => answers > (before[key]?.answers ?? 0) + 5)
      )
    })
  }

  async end(): Promise<Talks> {
    this.#child.kill('SIGTERM')
    await this.#ended
    return this.#talks
  }
}
