package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type reply struct {
	Status     int     `json:"status"`
	Msg        string  `json:"msg"`
	Token      string  `json:"token,omitempty"`
	Disconnect int     `json:"disconnect,omitempty"`
	Code       string  `json:"code,omitempty"`
	CID        *string `json:"cid,omitempty"`
}

type delivery struct {
	Body json.RawMessage `json:"body"`
	From string          `json:"from"`
}

// The table of section 4.1.
var (
	replyIllegal     = reply{Msg: "非法请求", Disconnect: 1, Code: "illegal"}
	replyInvalidCID  = reply{Msg: "参数错误", Code: "invalid_cid"}
	replyNotSigned   = reply{Msg: "发送失败,未登入", Code: "not_signed"}
	replyInvalidUID  = reply{Msg: "参数错误", Code: "invalid_uid"}
	replyInvalidTo   = reply{Msg: "参数错误", Code: "invalid_to"}
	replyMissingBody = reply{Msg: "参数错误", Code: "missing_body"}
	replySigned      = reply{Status: 1, Msg: "注册成功"}
	replySent        = reply{Status: 1, Msg: "sended"}
)

// A hub knows who is signed as whom. One lock guards all of it, and is held until the reply is in
// its queue: so a device gets nothing before the reply that makes it one, and nothing of its old
// uid after the reply that ends that [SIGN-6]. Nothing waits under the lock, because sending
// doesn't.
type hub struct {
	mu          sync.Mutex
	connections map[*connection]struct{}
	devices     map[string]map[*connection]struct{} // by uid
	stopping    bool
	empty       chan struct{} // closed when the hub is stopping and the last connection has gone
}

func newHub() *hub {
	return &hub{
		connections: map[*connection]struct{}{},
		devices:     map[string]map[*connection]struct{}{},
		empty:       make(chan struct{}),
	}
}

func (h *hub) add(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections[c] = struct{}{}
	if h.stopping {
		c.close(websocket.CloseGoingAway)
	}
}

func (h *hub) remove(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.connections, c)
	h.unsign(c)
	if h.stopping && len(h.connections) == 0 {
		close(h.empty)
	}
}

// unsign takes the connection from the devices of its uid, if it has one. Called under the lock.
func (h *hub) unsign(c *connection) {
	delete(h.devices[c.uid], c)
	if len(h.devices[c.uid]) == 0 {
		delete(h.devices, c.uid)
	}
	c.signed, c.uid = false, ""
}

// handle does what a request asks for and answers it; false if it is illegal, and then it has done
// nothing.
func (h *hub) handle(c *connection, request members) bool {
	requestType, _ := request.text("type")
	obey := map[string]func(*connection, members) reply{"sign": h.sign, "msg": h.msg}[requestType]
	if obey == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	cid, ok := request.cid()
	answer := replyInvalidCID
	if ok {
		answer = obey(c, request)
		answer.CID = cid
	}
	c.send(answer)
	return true
}

// sign and msg check in the order of [REPLY-6].
func (h *hub) sign(c *connection, request members) reply {
	uid, ok := request.uid("uid")
	if !ok {
		return replyInvalidUID // [SIGN-7]: nothing has changed
	}
	h.unsign(c)
	c.signed, c.uid = true, uid
	if h.devices[uid] == nil {
		h.devices[uid] = map[*connection]struct{}{}
	}
	h.devices[uid][c] = struct{}{}
	answer := replySigned
	answer.Token = newToken()
	return answer
}

func (h *hub) msg(c *connection, request members) reply {
	if !c.signed {
		return replyNotSigned
	}
	to, ok := request.uid("to")
	if !ok {
		return replyInvalidTo
	}
	body, ok := request["body"]
	if !ok {
		return replyMissingBody
	}
	text, err := json.Marshal(delivery{Body: body, From: c.uid})
	if err != nil {
		panic(err) // the body is valid JSON
	}
	for device := range h.devices[to] {
		device.sendText(text) // before the reply, also to oneself [ORDER-3]
	}
	return replySent
}

// newToken returns 32 hexadecimal digits [SIGN-2] from a secure source [SIGN-3].
func newToken() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err)
	}
	return hex.EncodeToString(random[:])
}

// closeAll closes every connection with 1001 [WS-9], and waits for a moment until the peers have
// answered.
func (h *hub) closeAll() {
	h.mu.Lock()
	h.stopping = true
	for c := range h.connections {
		c.close(websocket.CloseGoingAway)
	}
	none := len(h.connections) == 0
	h.mu.Unlock()
	if none {
		return
	}
	select {
	case <-h.empty:
	case <-time.After(closeTimeout):
	}
}
