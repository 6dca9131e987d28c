import { expect, it } from 'vitest'
import { withCommand } from '../../../src/hub/refusals.js'
import { helloOf, testNode } from '../../support/control.js'
import { HubWorld } from '../../support/hub-world.js'

const COMMAND = "overlay hub --state '/srv/h 1'"

it('names commands of the hub that refuses, wherever its state is', () => {
  const world = new HubWorld({ command: COMMAND })
  const secret = world.token({ nodeName: 'planner' })
  world.say(1, helloOf(testNode(1), { secret, name: 'other', isNameAsked: true }))
  expect(world.heard(1)).toMatchObject([
    { type: 'refused', code: 'name', hint: expect.stringContaining(`${COMMAND} token create`) },
    'close',
  ])
})

it('leaves alone what names a state already', () => {
  expect(withCommand('type: overlay hub restore FILE --state /a', COMMAND)).toBe(
    'type: overlay hub restore FILE --state /a',
  )
  expect(withCommand('see: overlay hub nodes; overlay hub token list', COMMAND)).toBe(
    `see: ${COMMAND} nodes; ${COMMAND} token list`,
  )
})
