import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { describeDataPlane } from '../../support/data-plane-suite.js'
import { createPortableHarness } from '../../support/portable-harness.js'

describeDataPlane('portable, noble', () => createPortableHarness(nobleCrypto))
describeDataPlane('portable, node', () => createPortableHarness(nodeCrypto))
