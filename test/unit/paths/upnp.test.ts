import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type MappingService,
  mappingServices,
  mapRequest,
  readMappingOutcome,
  searchesFor,
  tryReadLocation,
  unmapRequest,
} from '../../../src/paths/upnp.js'
import {
  bytesOf,
  descriptionOf,
  IGD_ADDRESS,
  MAPPED,
  MINIUPNPD_DESCRIPTION,
  refusal,
  searchAnswer,
} from '../../support/igd.js'
import { ip } from '../../support/inner-packets.js'
import { endpoint } from '../../support/simulated-nat.js'

const ROUTER = ip(IGD_ADDRESS)
const URL_OF_ROOT = { port: 39_051, path: '/rootDesc.xml' }
const SERVICE: MappingService = {
  type: 'urn:schemas-upnp-org:service:WANIPConnection:2',
  url: { port: 39_051, path: '/ctl/IPConn' },
}

describe('a search for a gateway', () => {
  it('goes to the group and to the router', () => {
    const sends = searchesFor(ROUTER)
    expect(sends.map(({ to }) => to)).toEqual([
      endpoint('239.255.255.250', 1900),
      endpoint(IGD_ADDRESS, 1900),
    ])
    for (const { bytes } of sends) {
      expect(new TextDecoder().decode(bytes)).toBe(
        'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n' +
          'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n',
      )
    }
  })

  it('is answered with the place of a description', () => {
    expect(tryReadLocation(searchAnswer(), ROUTER)).toEqual(URL_OF_ROOT)
    expect(tryReadLocation(searchAnswer(`HTTP://${IGD_ADDRESS}/a b?c`), ROUTER)).toEqual({
      port: 80,
      path: '/a',
    })
  })

  it.each([
    ['another host', 'http://192.168.7.66:39051/rootDesc.xml'],
    ['a host that looks alike', `http://${IGD_ADDRESS}.example:39051/`],
    ['the router as a user name', `http://${IGD_ADDRESS}@192.168.7.66/`],
    ['a password', `http://a:b@${IGD_ADDRESS}/`],
    ['a name', 'http://router.lan/rootDesc.xml'],
    ['another scheme', `https://${IGD_ADDRESS}/`],
    ['a file', 'file:///etc/passwd'],
    ['a port that is none', `http://${IGD_ADDRESS}:0/`],
    ['a port too high', `http://${IGD_ADDRESS}:65536/`],
    ['a path without end', `http://${IGD_ADDRESS}/${'a'.repeat(1024)}`],
    ['no URL', 'rootDesc.xml'],
  ])('is not answered with %s', (_, location) => {
    expect(tryReadLocation(searchAnswer(location), ROUTER)).toBeUndefined()
  })

  it.each([
    ['another device', ['HTTP/1.1 200 OK', 'ST: upnp:rootdevice', `LOCATION: http://${IGD_ADDRESS}/`, '']],
    [
      'a notification',
      ['NOTIFY * HTTP/1.1', 'ST: InternetGatewayDevice', `LOCATION: http://${IGD_ADDRESS}/`],
    ],
    ['an answer without a place', ['HTTP/1.1 200 OK', 'ST: x:InternetGatewayDevice:1', '']],
    ['too long an answer', [new TextDecoder().decode(searchAnswer()), 'x'.repeat(2048)]],
    ['nothing', []],
  ])('is not answered by %s', (_, lines) => {
    expect(tryReadLocation(bytesOf(lines), ROUTER)).toBeUndefined()
  })
})

describe('a description of a router', () => {
  const servicesOf = (text: string): MappingService[] => mappingServices(text, URL_OF_ROOT, ROUTER)

  it('names the service that maps ports, as miniupnpd writes it', () => {
    expect(servicesOf(MINIUPNPD_DESCRIPTION)).toEqual([SERVICE])
  })

  it('may name several: those of IP before those of PPP', () => {
    const text = descriptionOf([
      ['WANPPPConnection:1', '/ppp'],
      ['WANIPConnection:1', 'ip?a=1&amp;b=2'],
      ['WANEthernetLinkConfig:1', '/eth'],
    ])
    expect(servicesOf(text)).toEqual([
      { type: 'urn:schemas-upnp-org:service:WANIPConnection:1', url: { port: 39_051, path: '/ip?a=1&b=2' } },
      { type: 'urn:schemas-upnp-org:service:WANPPPConnection:1', url: { port: 39_051, path: '/ppp' } },
    ])
  })

  it('may have a base for its URLs', () => {
    const text = descriptionOf([['WANIPConnection:1', 'ctl']], `http://${IGD_ADDRESS}:5431/igd/`)
    expect(servicesOf(text).map(({ url }) => url)).toEqual([{ port: 5431, path: '/igd/ctl' }])
  })

  it.each([
    ['a service elsewhere', descriptionOf([['WANIPConnection:1', 'http://192.168.7.66/ctl']])],
    ['a service elsewhere, without a scheme', descriptionOf([['WANIPConnection:1', '//192.168.7.66/ctl']])],
    ['a base elsewhere', descriptionOf([['WANIPConnection:1', '/ctl']], 'http://192.168.7.66/')],
    ['a base that is none', descriptionOf([['WANIPConnection:1', '/ctl']], 'router')],
    ['a service without a URL', descriptionOf([['WANIPConnection:1', '']])],
    ['a version that is not known', descriptionOf([['WANIPConnection:3', '/ctl']])],
    ['a page for people', '<html><body>login</body></html>'],
    ['half a description', MINIUPNPD_DESCRIPTION.slice(0, 1400)],
  ])('is of no use with %s', (_, text) => {
    expect(servicesOf(text)).toEqual([])
  })

  it('counts few services of very many', () => {
    const text = descriptionOf(Array.from({ length: 500 }, (_, i) => ['WANIPConnection:1', `/${i}`] as const))
    expect(servicesOf(text).map(({ url }) => url.path)).toEqual(['/0', '/1', '/2'])
  })

  it('is read whatever it is', () => {
    const word = fc.constantFrom(
      '<service>',
      '<serviceType',
      '<controlURL>',
      '>',
      '</',
      'http://',
      ' ',
      '&amp;',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string())), (words) => {
        expect(servicesOf(words.join('')).length).toBeLessThanOrEqual(3)
      }),
    )
  })
})

describe('a call', () => {
  const order = {
    protocol: 'udp',
    externalPort: 443,
    internalPort: 40_001,
    ownAddress: ip('192.168.7.2'),
  } as const

  it('maps a port', () => {
    const { url, call } = mapRequest(SERVICE, { ...order, leaseS: 7200 })
    expect(url).toEqual(SERVICE.url)
    expect(call?.soapAction).toBe('"urn:schemas-upnp-org:service:WANIPConnection:2#AddPortMapping"')
    expect(call?.body.replaceAll('\r\n', '')).toBe(
      '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
        '<u:AddPortMapping xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:2">' +
        '<NewRemoteHost></NewRemoteHost><NewExternalPort>443</NewExternalPort>' +
        '<NewProtocol>UDP</NewProtocol><NewInternalPort>40001</NewInternalPort>' +
        '<NewInternalClient>192.168.7.2</NewInternalClient><NewEnabled>1</NewEnabled>' +
        '<NewPortMappingDescription>overlay</NewPortMappingDescription>' +
        '<NewLeaseDuration>7200</NewLeaseDuration></u:AddPortMapping></s:Body></s:Envelope>',
    )
  })

  it('gives a port back', () => {
    const { call } = unmapRequest(SERVICE, { protocol: 'tcp', externalPort: 443 })
    expect(call?.soapAction).toBe('"urn:schemas-upnp-org:service:WANIPConnection:2#DeletePortMapping"')
    expect(call?.body).toContain(
      '<NewRemoteHost></NewRemoteHost>\r\n<NewExternalPort>443</NewExternalPort>\r\n<NewProtocol>TCP</NewProtocol>',
    )
  })

  it.each([
    ['mapped, by miniupnpd', MAPPED, { kind: 'mapped' }],
    ['a conflict, by miniupnpd', refusal(718), { kind: 'refused', code: 718 }],
    ['only permanent leases', refusal(725), { kind: 'refused', code: 725 }],
    [
      'a code with a prefix and white space',
      { status: 500, text: '<e:errorCode xmlns:e="x">\n 718 \n</e:errorCode>' },
      { kind: 'refused', code: 718 },
    ],
    ['a page for people', { status: 200, text: '<html>login</html>' }, { kind: 'refused', code: undefined }],
    ['a success that is a failure', { ...MAPPED, status: 500 }, { kind: 'refused', code: undefined }],
    [
      'a code that is none',
      { status: 500, text: '<errorCode>1e2</errorCode>' },
      { kind: 'refused', code: undefined },
    ],
    ['nothing', { status: 500, text: '' }, { kind: 'refused', code: undefined }],
  ])('is answered: %s', (_, answer, outcome) => {
    expect(readMappingOutcome(answer)).toEqual(outcome)
  })
})
