package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A queueConn is a TCP connection whose writes never wait: what the peer has not read yet waits in
// memory, and a goroutine writes it. It stands below the WebSocket, so that everything is sent in
// the order of the writes: replies, deliveries, pongs, and the close frames that gorilla sends by
// itself. Nobody waits for a slow peer [WS-12].
type queueConn struct {
	// As an interface: with all methods of *net.TCPConn, net.Buffers would write past the queue.
	net.Conn
	tcp *net.TCPConn

	heard atomic.Int64 // how many bytes have come

	mu      sync.Mutex
	changed *sync.Cond // waiting or closed has
	waiting []byte
	n       int // bytes that are waiting or being written
	closed  bool
}

var errSlowPeer = errors.New("the peer reads too slowly")

func newQueueConn(tcp *net.TCPConn) *queueConn {
	c := &queueConn{Conn: tcp, tcp: tcp}
	c.changed = sync.NewCond(&c.mu)
	go c.writeAll()
	return c
}

func (c *queueConn) Read(p []byte) (int, error) {
	n, err := c.tcp.Read(p)
	c.heard.Add(int64(n))
	return n, err
}

func (c *queueConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.n+len(p) > waitingSizeMax {
		c.reset()
		return 0, errSlowPeer
	}
	c.waiting = append(c.waiting, p...)
	c.n += len(p)
	c.changed.Signal()
	return len(p), nil
}

// Close returns at once; what waits is still written, for as long as closeTimeout.
func (c *queueConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.changed.Signal()
	return c.tcp.SetWriteDeadline(time.Now().Add(closeTimeout))
}

// Abort ends the connection, whatever waits.
func (c *queueConn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *queueConn) reset() {
	c.closed = true
	c.waiting = nil
	c.changed.Signal()
	c.tcp.SetLinger(0)
	c.tcp.Close()
}

// Writes do not wait, so those above need no deadline; Close sets its own.
func (c *queueConn) SetWriteDeadline(time.Time) error     { return nil }
func (c *queueConn) SetDeadline(deadline time.Time) error { return c.SetReadDeadline(deadline) }

// writeAll is the goroutine that writes, until the connection is closed.
func (c *queueConn) writeAll() {
	defer c.tcp.Close()
	for {
		batch := c.next()
		if batch == nil {
			break
		}
		if _, err := c.tcp.Write(batch); err != nil {
			c.Abort()
			return
		}
		c.mu.Lock()
		c.n -= len(batch)
		c.mu.Unlock()
	}
	// If we closed now, while something that the peer has sent is unread, TCP would answer that
	// with a reset, and the peer might lose our last messages and the close frame.
	c.tcp.CloseWrite()
	c.tcp.SetReadDeadline(time.Now().Add(closeTimeout))
	io.Copy(io.Discard, c.tcp)
}

// next waits for something to write, and returns nil when there will be nothing any more.
func (c *queueConn) next() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && !c.closed {
		c.changed.Wait()
	}
	batch := c.waiting
	c.waiting = nil
	return batch
}

// A queueListener accepts connections as queueConns.
type queueListener struct {
	net.Listener
}

func (l queueListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newQueueConn(conn.(*net.TCPConn)), nil
}
