// The core of the chat protocol as somebody would write it in an afternoon, for the servers beside it:
// JSON.parse and JSON.stringify, the mapping in Redis under the original's keys, Redis asked for every
// message. It is here to be measured, not to be copied: where SPEC.md asks for more than JSON.parse
// gives, it does not do it (README.md says what that is). tests/conformance/examples has servers that do.

import { randomBytes } from 'node:crypto'

const UID_SIZE_MAX = 128 // bytes [UID-1]
const CID_SIZE_MAX = 64 // bytes [CID-1]
const NESTING_MAX = 512 // levels [JSON-7]
const TTL_S = 86_400

const UID_SET = 'chat_map_uid_fd:'
const FD_UID = 'chat_map_fd_uid:'

const PARAMETER_ERROR = '参数错误'
const ILLEGAL = { status: 0, msg: '非法请求', disconnect: 1, code: 'illegal' }
const INVALID_CID = { status: 0, msg: PARAMETER_ERROR, code: 'invalid_cid' }
const NOT_SIGNED = { status: 0, msg: '发送失败,未登入', code: 'not_signed' }
const INVALID_UID = { status: 0, msg: PARAMETER_ERROR, code: 'invalid_uid' }
const INVALID_TO = { status: 0, msg: PARAMETER_ERROR, code: 'invalid_to' }
const MISSING_BODY = { status: 0, msg: PARAMETER_ERROR, code: 'missing_body' }
const UNAVAILABLE = { status: 0, msg: '服务不可用', code: 'unavailable' }
const SENT = { status: 1, msg: 'sended' }

const node = randomBytes(8).toString('hex')
const connections = new Map() // by fd
let lastFd = 0

function readUid(value) {
  if (Number.isSafeInteger(value)) {
    return String(value)
  }
  if (typeof value !== 'string' || /[\u0000-\u001f\u007f]/.test(value)) {
    return null
  }
  const size = Buffer.byteLength(value)
  return size >= 1 && size <= UID_SIZE_MAX ? value : null
}

function isCid(value) {
  return typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= CID_SIZE_MAX
}

function isDeeperThan(value, levels) {
  return (
    typeof value === 'object' &&
    value !== null &&
    (levels === 0 || Object.values(value).some((member) => isDeeperThan(member, levels - 1)))
  )
}

// The request, or null if it is illegal.
function parse(text) {
  try {
    const request = JSON.parse(text)
    const isObject = typeof request === 'object' && request !== null && !Array.isArray(request)
    return isObject && !isDeeperThan(request, NESTING_MAX) ? request : null
  } catch {
    return null
  }
}

// One connection. `redis` has smembers(key), and sign(oldSet, newSet, fdKey, fd, uid, ttl) and
// leave(set, fdKey, fd), which send several commands at once. `send` takes a text, `close` a code.
//
// What asks Redis once and for nothing else is answered in order, because Redis' replies come in the
// order of the commands; everything else waits until what was asked before is answered [ORDER-1].
export class Connection {
  constructor(redis, send, close) {
    this.redis = redis
    this.send = send
    this.close = close
    this.fd = `${node}.${(lastFd += 1)}`
    this.uid = null
    this.ended = false // nothing more is taken from it [ILLEGAL-4]
    this.last = Promise.resolve() // that what came before is answered
    this.waiting = 0 // requests that wait for it
    connections.set(this.fd, this)
  }

  // A text message; null stands for a binary one.
  received(text) {
    if (this.ended) {
      return
    }
    const request = text === null ? null : parse(text)
    const obey = request === null ? undefined : requestTypes.get(request.type)
    this.ended = obey === undefined
    if (obey === msg && this.waiting === 0 && asksRedis(this, request)) {
      this.last = this.answer(obey, request)
      return
    }
    this.waiting += 1
    this.last = this.last.then(async () => {
      await (obey === undefined ? this.refuse() : this.answer(obey, request))
      this.waiting -= 1
    })
  }

  async answer(obey, request) {
    const hasCid = Object.hasOwn(request, 'cid')
    let reply
    try {
      reply = hasCid && !isCid(request.cid) ? INVALID_CID : await obey(this, request)
    } catch {
      reply = UNAVAILABLE
    }
    const withCid = hasCid && reply !== INVALID_CID
    this.send(JSON.stringify(withCid ? { ...reply, cid: request.cid } : reply))
  }

  refuse() {
    this.send(JSON.stringify(ILLEGAL))
    this.close(1008) // [ILLEGAL-3]
  }

  closed() {
    this.ended = true
    connections.delete(this.fd)
    if (this.uid !== null) {
      this.redis.leave(UID_SET + this.uid, FD_UID + this.fd, this.fd).catch(() => {})
    }
  }
}

// Is it a msg that will be sent?
function asksRedis(connection, request) {
  return (
    connection.uid !== null &&
    readUid(request.to) !== null &&
    request.body !== undefined &&
    (!Object.hasOwn(request, 'cid') || isCid(request.cid))
  )
}

const requestTypes = new Map([
  ['sign', sign],
  ['msg', msg],
])

async function sign(connection, request) {
  const uid = readUid(request.uid)
  if (uid === null) {
    return INVALID_UID
  }
  const { fd } = connection
  const oldSet = connection.uid === null ? null : UID_SET + connection.uid
  await connection.redis.sign(oldSet, UID_SET + uid, FD_UID + fd, fd, uid, TTL_S)
  connection.uid = uid
  return { status: 1, msg: '注册成功', token: randomBytes(16).toString('hex') }
}

async function msg(connection, request) {
  if (connection.uid === null) {
    return NOT_SIGNED
  }
  const to = readUid(request.to)
  if (to === null) {
    return INVALID_TO
  }
  if (request.body === undefined) {
    return MISSING_BODY
  }
  const from = connection.uid
  const fds = await connection.redis.smembers(UID_SET + to)
  const delivery = JSON.stringify({ body: request.body, from })
  for (const fd of fds) {
    const device = connections.get(fd)
    if (device?.uid === to) {
      device.send(delivery) // before the reply, also to oneself [ORDER-3]
    }
  }
  return SENT
}
