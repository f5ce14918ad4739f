// node server.js PORT REDIS_URL [PING_INTERVAL_MS] - the core of the chat protocol on ws and ioredis.

import Redis from 'ioredis'
import { WebSocketServer } from 'ws'

import { Connection } from '../core.mjs'

const [port, redisUrl, pingIntervalMs = '25000'] = process.argv.slice(2)

const client = new Redis(redisUrl, { enableAutoPipelining: true, maxRetriesPerRequest: 1 })
client.on('error', () => {}) // commands fail by themselves

const redis = {
  smembers: (key) => client.smembers(key),
  sign: (oldSet, newSet, fdKey, fd, uid, ttl) =>
    Promise.all([
      ...(oldSet === null ? [] : [client.srem(oldSet, fd)]),
      client.sadd(newSet, fd),
      client.setex(fdKey, ttl, uid),
    ]),
  leave: (set, fdKey, fd) => Promise.all([client.srem(set, fd), client.del(fdKey)]),
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  maxPayload: 65_536,
  handleProtocols: () => false,
})

server.on('connection', (socket) => {
  const connection = new Connection(
    redis,
    (text) => socket.readyState === socket.OPEN && socket.send(text),
    (code) => socket.close(code),
  )
  let heard = true
  const pinging = setInterval(() => {
    if (!heard) {
      socket.terminate()
    }
    heard = false
    socket.ping()
  }, Number(pingIntervalMs))
  socket.on('message', (data, isBinary) => {
    heard = true
    connection.received(isBinary ? null : data.toString())
  })
  socket.on('pong', () => {
    heard = true
  })
  socket.on('error', () => {}) // a peer's mistake; 'close' follows
  socket.on('close', () => {
    clearInterval(pinging)
    connection.closed()
  })
})

process.once('SIGTERM', () => {
  for (const socket of server.clients) {
    socket.close(1001)
  }
  setTimeout(() => process.exit(0), 500)
})
