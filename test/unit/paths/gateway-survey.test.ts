import { describe, expect, it } from 'vitest'
import { GatewaySurvey } from '../../../src/paths/gateway-survey.js'
import type { SurveySend } from '../../../src/paths/nat-survey.js'
import { hex } from '../../support/hex.js'
import { ip } from '../../support/inner-packets.js'
import { endpoint } from '../../support/simulated-nat.js'

const GATEWAY = '192.168.1.1'
const MAPPING = endpoint(GATEWAY, 5351)
const PCP_ANSWER = hex('02 80 00 00 00000000 00001234 000000000000000000000000')
const PMP_ANSWER = hex('00 80 0000 00001234 cb007107')
const SSDP_ANSWER = new TextEncoder().encode(
  'HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n' +
    'Location: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n',
)

function start(): { survey: GatewaySurvey; sends: SurveySend[] } {
  const survey = new GatewaySurvey({ gateway: ip(GATEWAY), ownAddress: ip('192.168.1.2') })
  const sends: SurveySend[] = []
  survey.start(1000, sends)
  return { survey, sends }
}

describe('a survey of the router', () => {
  it('asks in every protocol at once', () => {
    const { sends } = start()
    expect(sends[0]).toMatchObject({
      to: MAPPING,
      bytes: hex('02 00 0000 00000000 00000000000000000000ffff c0a80102'),
    })
    expect(sends[1]).toMatchObject({ to: MAPPING, bytes: hex('00 00') })
    expect(sends.slice(2).map(({ to }) => to)).toEqual([
      endpoint('239.255.255.250', 1900),
      endpoint(GATEWAY, 1900),
    ])
  })

  it('is done when all are answered', () => {
    const { survey } = start()
    survey.handleDatagram(0, MAPPING, PCP_ANSWER)
    survey.handleDatagram(0, MAPPING, PMP_ANSWER)
    expect(survey.isDone).toBe(false)
    survey.handleDatagram(0, endpoint(GATEWAY, 1900), SSDP_ANSWER)
    expect(survey.isDone).toBe(true)
    expect(survey.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY)
    expect(survey.report()).toEqual({ pcp: true, natPmp: true, upnp: true, external: ip('203.0.113.7') })
  })

  it('asks again only for what was not answered, and then ends', () => {
    const { survey } = start()
    survey.handleDatagram(0, MAPPING, PMP_ANSWER)
    const sends: SurveySend[] = []
    const deadlines: number[] = []
    while (!survey.isDone) {
      deadlines.push(survey.nextDeadlineMs())
      survey.handleTimeout(survey.nextDeadlineMs(), sends)
    }
    expect(deadlines).toEqual([1250, 1750, 2500])
    expect(sends).toHaveLength(6)
    expect(sends.some(({ bytes }) => bytes.length === 2)).toBe(false)
    expect(survey.report()).toMatchObject({ pcp: false, natPmp: true, upnp: false })
  })

  it.each([
    ['the refusal of another version', MAPPING, hex('00 80 0001 00001234')],
    ['a NAT-PMP failure', MAPPING, hex('00 80 0003 00001234 00000000')],
    ['a PCP failure', MAPPING, hex('02 80 00 02 00000000 00001234 000000000000000000000000')],
    ['our own question', MAPPING, hex('00 00')],
    ['an answer of somebody else', endpoint('192.168.1.66', 5351), PMP_ANSWER],
    ['a gateway that somebody else offers', endpoint('192.168.1.66', 1900), SSDP_ANSWER],
    ['another device', endpoint(GATEWAY, 1900), new TextEncoder().encode('HTTP/1.1 200 OK\r\nST: x\r\n\r\n')],
    ['nothing', MAPPING, new Uint8Array(0)],
  ])('takes no notice of %s', (_, from, bytes) => {
    const { survey } = start()
    survey.handleDatagram(0, from, bytes)
    expect(survey.report()).toEqual({ pcp: false, natPmp: false, upnp: false, external: undefined })
  })
})
