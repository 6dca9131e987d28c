/** Administration of nodes and tokens, as the hub's socket offers it (hub-schema.ts). */

import type { ZodType } from 'zod'
import type { HubEffect } from '../hub/effects.js'
import type { Hub } from '../hub/hub.js'
import type { Registry } from '../hub/registry.js'
import type { NodeRecord, TokenRecord } from '../hub/store.js'
import { tokenId } from '../hub/tokens.js'
import { checked } from './api-request.js'
import type { Route } from './api-server.js'
import {
  type HubNode,
  type HubToken,
  nodeOrder,
  renameOrder,
  revokeOrder,
  type TokenAnswer,
  tagOrder,
  tokenOrder,
} from './hub-schema.js'

export interface HubAdminOptions {
  readonly hub: Hub
  readonly registry: Registry
  /** Carries out what a change wants done. */
  readonly carryOut: <T>(change: (effects: HubEffect[]) => T) => T
  /** `secret`: of a new token, in base64. */
  readonly formatToken: (secret: string) => string
}

export class HubAdmin {
  readonly #options: HubAdminOptions

  constructor(options: HubAdminOptions) {
    this.#options = options
  }

  routes(): [string, Route][] {
    const { hub, registry } = this.#options
    return [
      ['GET /v1/nodes', () => [...registry.nodes].map((node) => this.#describe(node))],
      ['POST /v1/nodes/remove', this.#end((node, effects) => hub.remove(node, effects))],
      ['POST /v1/nodes/reject', this.#end((node, effects) => hub.reject(node, effects))],
      ['POST /v1/nodes/approve', this.#change(nodeOrder, (node, _, effects) => hub.approve(node, effects))],
      [
        'POST /v1/nodes/rename',
        this.#change(renameOrder, (node, { name }, effects) => hub.rename(node, name, effects)),
      ],
      [
        'POST /v1/nodes/tag',
        this.#change(tagOrder, (node, { add, remove }, effects) => {
          const kept = node.tags.filter((tag) => !remove.includes(tag))
          return hub.setTags(node, [...new Set([...kept, ...add])], effects)
        }),
      ],
      ['GET /v1/tokens', () => registry.tokens.list().map(describeToken)],
      ['POST /v1/tokens', (body) => this.#createToken(body)],
      [
        'POST /v1/tokens/revoke',
        (body) => describeToken(registry.tokens.revoke(checked(revokeOrder, body).id)),
      ],
    ]
  }

  /** Answers with the node as it is afterwards. */
  #change<T extends { readonly node: string }>(
    schema: ZodType<T>,
    change: (node: NodeRecord, order: T, effects: HubEffect[]) => NodeRecord,
  ): Route {
    return (body) => {
      const order = checked(schema, body)
      const node = this.#options.registry.require(order.node)
      return this.#describe(this.#options.carryOut((effects) => change(node, order, effects)))
    }
  }

  /** Answers with the node as it was. */
  #end(change: (node: NodeRecord, effects: HubEffect[]) => void): Route {
    return (body) => {
      const node = this.#options.registry.require(checked(nodeOrder, body).node)
      const described = this.#describe(node)
      this.#options.carryOut((effects) => change(node, effects))
      return described
    }
  }

  #createToken(body: unknown): TokenAnswer {
    const { name, expiresS, ...order } = checked(tokenOrder, body)
    const request = { ...order, nodeName: name, lifetimeMs: expiresS * 1000 }
    const { secret, id } = this.#options.registry.tokens.create(request)
    return { token: this.#options.formatToken(secret), id }
  }

  #describe(node: NodeRecord): HubNode {
    const { identity, name, v4, tags, state, isEphemeral, tokenId: token } = node
    const trouble = this.#options.hub.troubleOf(identity)
    return {
      identity,
      name,
      v4,
      v6: this.#options.hub.addressOf(identity),
      tags,
      state,
      token: token ?? null,
      isEphemeral,
      isOnline: this.#options.hub.isOnline(identity),
      createdAt: new Date(node.createdAtMs).toISOString(),
      lastSeenAt: new Date(node.lastSeenMs).toISOString(),
      ...(trouble !== undefined && { trouble }),
    }
  }
}

function describeToken(token: TokenRecord): HubToken {
  const { nodeName: name, tags, usesLeft, isEphemeral, expiresAtMs } = token
  const expiresAt = new Date(expiresAtMs).toISOString()
  return { id: tokenId(token), name, tags, usesLeft, isEphemeral, expiresAt }
}
