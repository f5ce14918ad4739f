// A small server of the chat protocol 1.0, profile "core", written from SPEC.md alone.
//
//   node server.js [PORT [PING_INTERVAL_MS [PING_TIMEOUT_MS]]]
//
// From the top: limits, JSON, the fields of a request, who is signed as whom, the table of section
// 4.1, the connection. Ids such as [MSG-2] are clauses of SPEC.md. Nothing here waits between
// reading a request and answering it, so requests take effect and are answered in their order
// [ORDER-1]. A server that asks a database in between needs a queue for each connection.

import { randomBytes } from 'node:crypto'
import { WebSocket, WebSocketServer } from 'ws'

const port = numberArgument(2, 9502)
const pingIntervalMs = numberArgument(3, 25_000)
const pingTimeoutMs = numberArgument(4, 10_000)

const MESSAGE_SIZE_MAX = 65_536 // bytes [WS-7] [WS-8]
const NESTING_MAX = 512 // levels [JSON-7]
const UID_SIZE_MAX = 128 // bytes [UID-1]
const CID_SIZE_MAX = 64 // bytes [CID-1]
const WAITING_SIZE_MAX = 16 * 1024 * 1024 // bytes that wait for a peer that does not read [WS-12]
const STOP_TIMEOUT_MS = 1_000 // for peers to answer the close frame when the server stops

function numberArgument(index, otherwise) {
  const text = process.argv[index] ?? String(otherwise)
  if (!/^[1-9][0-9]*$/.test(text)) {
    console.error('usage: node server.js [PORT [PING_INTERVAL_MS [PING_TIMEOUT_MS]]]')
    process.exit(2)
  }
  return Number(text)
}

// ---- JSON (section 3.1)

// The members of the JSON object that `text` is: a Map from each name to the *text* of its value,
// the last one if the name is repeated [JSON-5]. null if the text is not exactly one JSON object,
// or one that has to be refused.
//
// JSON.parse alone would not do. It is as strict as RFC 8259, but it accepts half a surrogate pair
// [JSON-3]; it cannot tell 1001 from 1001.0 [UID-2]; and it rounds the numbers of a body, which the
// text keeps as they were [BODY-2].
function parseMembers(text) {
  try {
    JSON.parse(text)
  } catch {
    return null // [JSON-2]; no JSON, or nested so deeply that the parser gave up
  }
  if (hasLoneSurrogate(text)) {
    return null
  }
  return splitMembers(text)
}

// Whether some \u escape is half of a surrogate pair. In a JSON text every backslash begins an
// escape; all but \u are replaced first, not removed: what stood on both sides of them must not
// become neighbours.
const SURROGATE_PAIR = /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}/g

function hasLoneSurrogate(text) {
  const unicodeOnly = text.replace(/\\[^u]/g, '_')
  const withoutPairs = unicodeOnly.replace(SURROGATE_PAIR, '_')
  return /\\u[dD][89a-fA-F]/.test(withoutPairs)
}

// The tokens of a text that is known to be JSON: a string, a structural character, or a number,
// true, false or null.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g

function splitMembers(text) {
  const members = new Map()
  let depth = 0
  let name = null // of the member that is being read, as its token
  let start = 0 // of its value
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 0 && token !== '{') {
      return null // an array, or a plain value
    }
    if (depth === 1 && (token === ',' || token === '}') && name !== null) {
      members.set(JSON.parse(name), text.slice(start, index).trim())
      name = null
    } else if (depth === 1 && token === ':') {
      start = index + 1
    } else if (depth === 1 && name === null) {
      name = token
    }
    if (token === '{' || token === '[') {
      depth += 1
    } else if (token === '}' || token === ']') {
      depth -= 1
    }
    if (depth > NESTING_MAX) {
      return null // [JSON-7]
    }
  }
  return members
}

// ---- The fields of a request (sections 3.2 and 3.4)
//
// `text` is a value as parseMembers returns it, or undefined.

const isString = (text) => text !== undefined && text.startsWith('"')

// The uid, as a string; null if it is missing or invalid [UID-3].
function readUid(text) {
  if (isString(text)) {
    const uid = JSON.parse(text)
    const size = Buffer.byteLength(uid)
    return size >= 1 && size <= UID_SIZE_MAX && !/[\u0000-\u001f\u007f]/.test(uid) ? uid : null
  }
  if (text !== undefined && /^-?[0-9]+$/.test(text) && Number.isSafeInteger(Number(text))) {
    return text === '-0' ? '0' : text // [UID-2]
  }
  return null
}

// The cid; null if it is invalid [CID-3]. Only for a request that has one.
function readCid(text) {
  if (!isString(text)) {
    return null
  }
  const cid = JSON.parse(text)
  const size = Buffer.byteLength(cid)
  return size >= 1 && size <= CID_SIZE_MAX ? cid : null
}

// ---- Who is signed as whom: uid -> Set of devices

const devicesByUid = new Map()

function addDevice(uid, device) {
  if (!devicesByUid.has(uid)) {
    devicesByUid.set(uid, new Set())
  }
  devicesByUid.get(uid).add(device)
}

function removeDevice(uid, device) {
  const devices = devicesByUid.get(uid)
  devices?.delete(device)
  if (devices?.size === 0) {
    devicesByUid.delete(uid)
  }
}

// ---- The table of section 4.1

const PARAMETER_ERROR = '参数错误'
const replies = {
  illegal: { status: 0, msg: '非法请求', disconnect: 1, code: 'illegal' },
  invalidCid: { status: 0, msg: PARAMETER_ERROR, code: 'invalid_cid' },
  notSigned: { status: 0, msg: '发送失败,未登入', code: 'not_signed' },
  invalidUid: { status: 0, msg: PARAMETER_ERROR, code: 'invalid_uid' },
  invalidTo: { status: 0, msg: PARAMETER_ERROR, code: 'invalid_to' },
  missingBody: { status: 0, msg: PARAMETER_ERROR, code: 'missing_body' },
  sent: { status: 1, msg: 'sended' },
}

// Each does what the request asks for and returns the reply; the checks stand in the order of
// [REPLY-6].
const requestTypes = { __proto__: null, sign, msg }

function sign(connection, members) {
  const uid = readUid(members.get('uid'))
  if (uid === null) {
    return replies.invalidUid // [SIGN-7]: nothing has changed
  }
  if (connection.uid !== null) {
    removeDevice(connection.uid, connection) // [SIGN-6]
  }
  connection.uid = uid
  addDevice(uid, connection)
  return { status: 1, msg: '注册成功', token: randomBytes(16).toString('hex') }
}

function msg(connection, members) {
  if (connection.uid === null) {
    return replies.notSigned
  }
  const to = readUid(members.get('to'))
  if (to === null) {
    return replies.invalidTo
  }
  const body = members.get('body')
  if (body === undefined) {
    return replies.missingBody
  }
  const delivery = `{"body":${body},"from":${JSON.stringify(connection.uid)}}`
  for (const device of devicesByUid.get(to) ?? []) {
    device.send(delivery) // before the reply, also to oneself [ORDER-3]
  }
  return replies.sent
}

// One text message. Sends exactly one reply [REPLY-1].
function handleText(connection, text) {
  const members = parseMembers(text)
  const type = members?.get('type')
  const obey = isString(type) ? requestTypes[JSON.parse(type)] : undefined // [JSON-9]
  if (obey === undefined) {
    refuseIllegal(connection)
    return
  }
  if (!members.has('cid')) {
    connection.send(JSON.stringify(obey(connection, members)))
    return
  }
  const cid = readCid(members.get('cid'))
  const reply = cid === null ? replies.invalidCid : { ...obey(connection, members), cid }
  connection.send(JSON.stringify(reply))
}

function refuseIllegal(connection) {
  connection.send(JSON.stringify(replies.illegal))
  connection.socket.close(1008) // [ILLEGAL-3]
}

// ---- The connection (section 2)
//
// ws itself closes with 1002, 1007 and 1009, and answers pings and close frames.

class Connection {
  constructor(socket, tcp) {
    this.socket = socket
    this.tcp = tcp
    this.uid = null // not signed
    this.pinging = setInterval(() => this.ping(), pingIntervalMs)
    socket.on('message', (data, isBinary) => this.received(data, isBinary))
    socket.on('close', () => this.closed())
    socket.on('error', () => {}) // a peer's mistake; ws closes with the right code, 'close' follows
  }

  received(data, isBinary) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return // [ILLEGAL-4]: ws goes on reading until the peer has answered our close frame
    }
    if (isBinary) {
      refuseIllegal(this) // [ILLEGAL-2]
    } else {
      handleText(this, data.toString())
    }
  }

  // Never waits, so a slow peer delays nobody [WS-12].
  send(text) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return
    }
    this.socket.send(text)
    if (this.socket.bufferedAmount > WAITING_SIZE_MAX) {
      this.socket.terminate()
    }
  }

  // [WS-10] Any byte that comes shows that the peer is there.
  ping() {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return
    }
    const heard = this.tcp.bytesRead
    this.socket.ping()
    this.waiting = setTimeout(() => {
      if (this.tcp.bytesRead === heard) {
        this.socket.terminate()
      }
    }, pingTimeoutMs)
  }

  closed() {
    clearInterval(this.pinging)
    clearTimeout(this.waiting)
    if (this.uid !== null) {
      removeDevice(this.uid, this) // [ID-3]
    }
  }
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port,
  maxPayload: MESSAGE_SIZE_MAX,
  handleProtocols: () => false, // [WS-17]; by default ws would select the first one
})

server.on('connection', (socket, request) => new Connection(socket, request.socket))
server.on('listening', () => console.log(`listening on 127.0.0.1:${port}`))
server.on('error', (error) => {
  console.error(error.message)
  process.exit(1)
})

// [WS-9]
function stop() {
  server.close(() => process.exit(0))
  for (const socket of server.clients) {
    socket.close(1001)
  }
  setTimeout(() => process.exit(0), STOP_TIMEOUT_MS)
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
