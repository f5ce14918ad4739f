/* Any bytes as what a peer sends behind its handshake, through libwebsockets to the router's
 * effects: nothing crashes, nobody else's service stops, and nothing of the peer is left. SPEC 2
 * to 4, 6, 7.
 *
 * The input is a list of pieces: a byte that says what it is, one for its length, and its bytes.
 * Even: they are sent as they are. Odd: as the payload of a masked frame whose first byte the
 * next one is. */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "chat/memory_store.h"
#include "transport_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TURNS = 6,
    INPUT_SIZE_MAX = 4096
};

static struct fixture *f;
static struct client *canary;

static void run(void)
{
    for (int i = 0; i < TURNS; i++) {
        uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
    }
}

static void start_server(void)
{
    void *state = NULL;
    transport_setup(&state);
    f = state;
    static const struct inbox_limits history = {
        .messages_max = 20, .retention_ms = 60000, .memory_max = 1048576};
    f->store = memory_store_create(f->loop, &history);
    given_server_with(f, f->store,
                      &(struct router_options){.features = {.broadcast = true, .history = true}});
    canary = given_user(f, "canary");
}

static void add_piece(struct bytes *bytes, uint8_t kind, struct str piece)
{
    if (kind % 2 == 0 || piece.len == 0) {
        add_bytes(bytes, piece);
    } else {
        add_frame(bytes, (uint8_t)piece.ptr[0], (struct str){piece.ptr + 1, piece.len - 1});
    }
}

static void send_pieces(struct client *peer, const uint8_t *data, size_t size)
{
    struct bytes bytes = {0};
    while (size > 2) {
        size_t len = data[1] < size - 2 ? data[1] : size - 2;
        add_piece(&bytes, data[0], (struct str){(const char *)data + 2, len});
        data += 2 + len;
        size -= 2 + len;
    }
    when_sends_all(peer, &bytes);
}

/* Without TIME_WAIT, of which thousands a second would use up the ports. */
static void reset(struct client *peer)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    forget_client(f, peer);
}

/* The others' service goes on: a ping's pong comes, whatever the peer has sent to this user
 * before. */
static void check_canary(void)
{
    when_sends(canary, PING, STR("still there?"));
    assert(client_awaits(canary, PONG, STR("still there?")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (f == NULL) {
        start_server();
    }
    if (size > INPUT_SIZE_MAX) {
        return -1;
    }
    struct client *peer = given_client(f);
    send_pieces(peer, data, size);
    run();
    check_canary();
    reset(peer);
    run();
    then_n_signed(f, 1);
    return 0;
}
