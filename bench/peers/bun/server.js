// bun server.js PORT REDIS_URL [PING_INTERVAL_S] - the core of the chat protocol on Bun's own WebSocket
// server, which is uWebSockets, and Bun's own Redis client, which pipelines by itself.

import { Connection } from '../core.mjs'

const [port, redisUrl, pingIntervalS = '30'] = process.argv.slice(2)

const client = new Bun.RedisClient(redisUrl, { enableAutoPipelining: true })

const redis = {
  smembers: (key) => client.smembers(key),
  sign: (oldSet, newSet, fdKey, fd, uid, ttl) =>
    Promise.all([
      ...(oldSet === null ? [] : [client.srem(oldSet, fd)]),
      client.sadd(newSet, fd),
      client.send('SETEX', [fdKey, String(ttl), uid]),
    ]),
  leave: (set, fdKey, fd) => Promise.all([client.srem(set, fd), client.del(fdKey)]),
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  fetch(request, server) {
    return server.upgrade(request, { data: {} })
      ? undefined
      : new Response('this is a WebSocket server\n', { status: 400 })
  },
  websocket: {
    maxPayloadLength: 65_536,
    idleTimeout: Number(pingIntervalS),
    sendPings: true,
    open(socket) {
      socket.data.connection = new Connection(
        redis,
        (text) => socket.sendText(text),
        (code) => socket.close(code),
      )
    },
    message(socket, message) {
      socket.data.connection.received(typeof message === 'string' ? message : null)
    },
    close(socket) {
      socket.data.connection.closed()
    },
  },
})

process.once('SIGTERM', () => {
  server.stop(true)
  setTimeout(() => process.exit(0), 500)
})
