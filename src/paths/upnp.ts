/**
 * UPnP-IGD on the wire: how a router's port mapping service is found, and what it is told. Text and bytes
 * only; who asks for what and when is in upnp-mapper.ts.
 *
 * | search, SSDP | M-SEARCH to 239.255.255.250:1900 and to the router; its answer has the LOCATION of a description |
 * | description, HTTP GET | XML; each service has a serviceType and a controlURL |
 * | call, HTTP POST | SOAP to the controlURL; its answer is an ActionResponse, or a fault with an errorCode |
 *
 * UPnP Device Architecture 1.1 sections 1.3, 2.3 and 3; WANIPConnection:2 section 2.5.
 *
 * INVARIANT: only what comes from the router counts, and only the router is asked. On a shared network
 * anybody may answer a search; so a URL becomes a RouterUrl, which has no host, and is nothing if it named
 * another one.
 */

import type { Endpoint } from '../net/endpoint.js'
import { formatIp, type IpAddress, ipFromBytes, tryParseIp } from '../net/ip.js'
import type { MappedProtocol, MapperSend } from './port-mapper.js'

const SSDP_PORT = 1900
const SSDP_GROUP = ipFromBytes(Uint8Array.of(239, 255, 255, 250))
const MAX_SSDP_BYTES = 2048
const MAX_PATH_LENGTH = 1024
/** Best first. A router may offer more than one, of which one is in use. */
const SERVICE_TYPES = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
] as const
const MAX_SERVICES = 3
const DESCRIPTION = 'overlay'

/** On the router, over HTTP. */
export interface RouterUrl {
  readonly port: number
  readonly path: string
}

export interface RouterRequest {
  readonly url: RouterUrl
  /** Undefined: it is a GET. */
  readonly call: { readonly soapAction: string; readonly body: string } | undefined
}

export interface RouterAnswer {
  readonly status: number
  readonly text: string
}

export interface MappingService {
  readonly type: (typeof SERVICE_TYPES)[number]
  readonly url: RouterUrl
}

export interface ExternalPort {
  readonly protocol: MappedProtocol
  readonly externalPort: number
}

export interface MappingOrder extends ExternalPort {
  readonly internalPort: number
  readonly ownAddress: IpAddress
  /** 0: for ever. */
  readonly leaseS: number
}

/** `code` undefined: the answer is none that UPnP knows. */
export type MappingOutcome =
  | { readonly kind: 'mapped' }
  | { readonly kind: 'refused'; readonly code: number | undefined }

// --- search --------------------------------------------------------------------------------------

/** To the group, and to the router itself: not every network carries the group. */
export function searchesFor(router: IpAddress): MapperSend[] {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    'HOST: 239.255.255.250:1900',
    'MAN: "ssdp:discover"',
    'MX: 1',
    'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  ]
  const bytes = new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`)
  return [SSDP_GROUP, router].map((address): MapperSend => {
    const to: Endpoint = { address, port: SSDP_PORT, scopeId: 0 }
    return { to, bytes }
  })
}

/** Where the description is. `bytes`: came from the router. Undefined if they are no answer to a search. */
export function tryReadLocation(bytes: Uint8Array, router: IpAddress): RouterUrl | undefined {
  if (bytes.length > MAX_SSDP_BYTES) return undefined
  const text = new TextDecoder('latin1').decode(bytes)
  if (!/^HTTP\/1\.[01] 200 /i.test(text) || !/^st:.*InternetGatewayDevice/im.test(text)) return undefined
  const [, location = ''] = /^location:[ \t]*(\S+)/im.exec(text) ?? []
  return tryRouterUrl(location, undefined, router)
}

function tryRouterUrl(text: string, base: string | undefined, router: IpAddress): RouterUrl | undefined {
  if (!URL.canParse(text, base)) return undefined
  const url = new URL(text, base)
  const port = url.port === '' ? 80 : Number(url.port)
  const path = url.pathname + url.search
  const isRouter = url.protocol === 'http:' && url.hostname === formatIp(router) && port > 0
  const hasSecret = url.username !== '' || url.password !== ''
  return isRouter && !hasSecret && path.length <= MAX_PATH_LENGTH ? { port, path } : undefined
}

// --- description ---------------------------------------------------------------------------------

/** Those that map ports, best first. `url`: of the description. The size of `text` is bounded by who read it. */
export function mappingServices(text: string, url: RouterUrl, router: IpAddress): MappingService[] {
  const own = `http://${formatIp(router)}:${url.port}${url.path}`
  // Of UPnP 1.0; later ones have none.
  const base = elementText(text, 'URLBase') || own
  const services = text.split('<service>').flatMap((part): MappingService[] => {
    const type = SERVICE_TYPES.find((known) => known === elementText(part, 'serviceType'))
    const control = elementText(part, 'controlURL')
    const controlUrl = control === '' ? undefined : tryRouterUrl(control, base, router)
    return type === undefined || controlUrl === undefined ? [] : [{ type, url: controlUrl }]
  })
  const rank = ({ type }: MappingService): number => SERVICE_TYPES.indexOf(type)
  return services.toSorted((a, b) => rank(a) - rank(b)).slice(0, MAX_SERVICES)
}

/** Of the first element of that name, in whatever namespace; empty if there is none. Takes linear time. */
function elementText(xml: string, name: string): string {
  const [, text = ''] = new RegExp(`<(?:\\w{1,16}:)?${name}(?:\\s[^<>]*)?>([^<]*)</`).exec(xml) ?? []
  return text.trim().replaceAll('&amp;', '&')
}

// --- calls ---------------------------------------------------------------------------------------

export function mapRequest(service: MappingService, order: MappingOrder): RouterRequest {
  return callRequest(service, 'AddPortMapping', [
    ...externalArguments(order),
    ['NewInternalPort', order.internalPort],
    ['NewInternalClient', formatIp(order.ownAddress)],
    ['NewEnabled', 1],
    ['NewPortMappingDescription', DESCRIPTION],
    ['NewLeaseDuration', order.leaseS],
  ])
}

export function unmapRequest(service: MappingService, external: ExternalPort): RouterRequest {
  return callRequest(service, 'DeletePortMapping', externalArguments(external))
}

export function addressRequest(service: MappingService): RouterRequest {
  return callRequest(service, 'GetExternalIPAddress', [])
}

/** Of an addressRequest: as the router sees itself; undefined if it does not say. */
export function readExternalAddress({ status, text }: RouterAnswer): IpAddress | undefined {
  const address = status === 200 ? tryParseIp(elementText(text, 'NewExternalIPAddress')) : undefined
  return address?.family === 4 ? address : undefined
}

type Argument = readonly [name: string, value: string | number]

function externalArguments({ protocol, externalPort }: ExternalPort): Argument[] {
  return [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', protocol.toUpperCase()],
  ]
}

/** In the order of the service's definition: there are routers that do not look at names. */
function callRequest(
  { type, url }: MappingService,
  action: string,
  list: readonly Argument[],
): RouterRequest {
  const body = [
    '<?xml version="1.0"?>',
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">',
    `<s:Body><u:${action} xmlns:u="${type}">`,
    ...list.map(([name, value]) => `<${name}>${value}</${name}>`),
    `</u:${action}></s:Body></s:Envelope>`,
  ]
  return { url, call: { soapAction: `"${type}#${action}"`, body: `${body.join('\r\n')}\r\n` } }
}

/** Of a mapRequest. */
export function readMappingOutcome({ status, text }: RouterAnswer): MappingOutcome {
  if (status === 200 && text.includes('AddPortMappingResponse')) return { kind: 'mapped' }
  const code = elementText(text, 'errorCode')
  return { kind: 'refused', code: /^\d{3}$/.test(code) ? Number(code) : undefined }
}
