// A small server of the chat protocol 1.0, profile "core", written from SPEC.md alone.
//
//	go run . [-port 9502] [-ping-interval 25s] [-ping-timeout 10s]
//
// Read in this order: request.go (what a text message asks for), hub.go (who is signed as whom, and
// the table of section 4.1), connection.go (one WebSocket), queue.go (a TCP connection whose writes
// never wait). Ids such as [MSG-2] are clauses of SPEC.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	messageSizeMax = 65536            // bytes [WS-7] [WS-8]
	nestingMax     = 512              // levels [JSON-7]
	uidSizeMax     = 128              // bytes [UID-1]
	cidSizeMax     = 64               // bytes [CID-1]
	waitingSizeMax = 16 * 1024 * 1024 // bytes that may wait for a peer that does not read [WS-12]
	closeTimeout   = time.Second      // for a peer to end TCP after the close frame
)

type server struct {
	hub          *hub
	upgrader     websocket.Upgrader
	pingInterval time.Duration
	pingTimeout  time.Duration
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, "WebSocket version 13 only", http.StatusBadRequest) // [WS-4]
		return
	}
	socket, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	connection := newConnection(socket, s.hub)
	go connection.keepAlive(s.pingInterval, s.pingTimeout)
	connection.serve()
}

func run() error {
	port := flag.Int("port", 9502, "the TCP port on 127.0.0.1")
	pingInterval := flag.Duration("ping-interval", 25*time.Second, "the time between pings")
	pingTimeout := flag.Duration("ping-timeout", 10*time.Second, "the longest silence after a ping")
	flag.Parse()

	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return err
	}
	s := &server{hub: newHub(), pingInterval: *pingInterval, pingTimeout: *pingTimeout}
	// Where a connection comes from is not this protocol's business; by default, gorilla refuses
	// pages of other origins.
	s.upgrader.CheckOrigin = func(*http.Request) bool { return true }

	log.Printf("listening on %s", listener.Addr())
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-stopped.Done()
		web.Close() // no more connections; those that are WebSockets by now are not its any more
	}()
	if err := web.Serve(queueListener{listener}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	s.hub.closeAll() // [WS-9]
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
