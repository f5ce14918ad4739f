package main

import (
	"encoding/json"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// A connection is one WebSocket. gorilla answers pings and close frames, and closes with 1002
// [WS-15] and 1009 [WS-8].
type connection struct {
	socket *websocket.Conn
	tcp    *queueConn
	hub    *hub
	done   chan struct{} // closed when the connection is gone

	writing sync.Mutex // gorilla allows one writer at a time

	// The hub's, under its lock.
	signed bool
	uid    string
}

func newConnection(socket *websocket.Conn, h *hub) *connection {
	socket.SetReadLimit(messageSizeMax)
	return &connection{
		socket: socket,
		tcp:    socket.UnderlyingConn().(*queueConn),
		hub:    h,
		done:   make(chan struct{}),
	}
}

// serve reads until the connection ends. The next message is read when the last one has been
// answered [ORDER-1].
func (c *connection) serve() {
	c.hub.add(c)
	defer c.socket.Close()
	defer c.hub.remove(c) // [ID-3]
	defer close(c.done)
	for {
		kind, text, err := c.socket.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && !utf8.Valid(text) {
			c.close(websocket.CloseInvalidFramePayloadData) // [WS-6]; gorilla does not look at the text
			return
		}
		request, ok := members(nil), false
		if kind == websocket.TextMessage { // a binary message is illegal, whatever is in it [ILLEGAL-2]
			request, ok = parseMembers(text)
		}
		if !ok || !c.hub.handle(c, request) {
			c.send(replyIllegal)
			c.close(websocket.ClosePolicyViolation) // [ILLEGAL-3]
			return                                  // and so nothing more is processed [ILLEGAL-4]
		}
	}
}

// send does not wait. If the connection is gone, there is nobody to tell.
func (c *connection) send(message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // all that we send can be marshalled
	}
	c.sendText(text)
}

func (c *connection) sendText(text []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.socket.WriteMessage(websocket.TextMessage, text)
}

// close sends the close frame; what is sent after it is dropped.
func (c *connection) close(code int) {
	frame := websocket.FormatCloseMessage(code, "")
	c.socket.WriteControl(websocket.CloseMessage, frame, time.Now().Add(closeTimeout))
}

// keepAlive pings, and drops a connection on which nothing at all has come for the timeout after
// that [WS-10].
func (c *connection) keepAlive(interval, timeout time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		heard := c.tcp.heard.Load()
		c.socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(timeout))
		select {
		case <-c.done:
			return
		case <-time.After(timeout):
		}
		if c.tcp.heard.Load() == heard {
			c.tcp.Abort()
			return
		}
	}
}
