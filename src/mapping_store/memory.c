#include <stdlib.h>

#include "chat/mem.h"
#include "chat/memory_store.h"
#include "mapping_store/devices.h"
#include "mapping_store/memory_inbox.h"
#include "mapping_store/pending.h"

enum {
    SWEEP_INTERVAL_MS = 1000
};

/* A read that waits for its turn. */
struct read {
    struct read *next;
    size_t uid_len;
    char uid[UID_SIZE_MAX];
    bool has_after;
    struct message_id after;
    size_t n_max;
    inbox_read_fn *answered;
    void *ctx;
};

struct memory_store {
    struct mapping_store base; /* first, so that a struct mapping_store * is one of us */
    struct devices *devices;
    struct pending *pending;
    struct loop *loop;
    struct loop_timer *close_timer;
    struct memory_inbox *inbox; /* NULL: the feature history is off */
    struct read *first_read;    /* oldest first */
    struct read *last_read;
    struct loop_timer *read_timer;
    struct loop_timer *sweep_timer;
    enum err err; /* what everything is answered */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static struct memory_store *as_memory(struct mapping_store *base)
{
    return (struct memory_store *)base;
}

/* [HIST-3] The machine's clock as it is set now: the inbox keeps ids rising if it is put back. */
static uint64_t now_ms(const struct memory_store *store)
{
    return loop_wall_ms(store->loop);
}

static void memory_bind(struct mapping_store *base, conn_id device, struct str uid,
                        mapping_bound_fn *bound, void *ctx)
{
    struct memory_store *store = as_memory(base);
    struct op *op = pending_bind(store->pending, device, uid, bound, ctx);
    pending_done(store->pending, op, store->err);
}

static void memory_unbind(struct mapping_store *base, conn_id device)
{
    devices_unbind(as_memory(base)->devices, device);
}

static void memory_send(struct mapping_store *base, const struct message *message,
                        mapping_sent_fn *sent, void *ctx)
{
    struct memory_store *store = as_memory(base);
    struct op *op = pending_send(store->pending, message, sent, ctx);
    enum err err = store->err;
    if (err == ERR_OK && store->inbox != NULL) {
        struct sent appended = {0};
        err = memory_inbox_append(store->inbox, message, now_ms(store), &appended);
        op->id = appended.id;
        op->previous = appended.previous;
        op->is_dup = appended.is_dup;
    }
    pending_done(store->pending, op, err);
}

static void memory_broadcast(struct mapping_store *base, const struct message *message,
                             mapping_done_fn *done, void *ctx)
{
    struct memory_store *store = as_memory(base);
    struct op *op = pending_broadcast(store->pending, message, done, ctx);
    pending_done(store->pending, op, store->err);
}

static void memory_listen(struct mapping_store *base, const struct node_events *events, void *ctx)
{
    (void)base; /* There are no other nodes. */
    (void)events;
    (void)ctx;
}

static const char *memory_trouble(struct mapping_store *base)
{
    return as_memory(base)->err == ERR_OK ? NULL : "the server stops";
}

/* ---- the inbox ---- */

static void answer_read(struct memory_store *store, struct read *read)
{
    struct inbox_page page = {.err = store->err};
    if (page.err == ERR_OK) {
        memory_inbox_read(store->inbox, (struct str){read->uid, read->uid_len},
                          read->has_after ? &read->after : NULL, read->n_max, now_ms(store), &page);
    }
    mapping_store_tells(&store->base);
    read->answered(read->ctx, &page);
    free(read);
}

/* Those that are asked meanwhile wait for the next turn, in a list of their own. */
static void on_read_timer(void *ctx)
{
    struct memory_store *store = ctx;
    struct read *next = store->first_read;
    store->first_read = NULL;
    store->last_read = NULL;
    while (next != NULL) {
        struct read *read = next;
        next = read->next;
        answer_read(store, read);
    }
}

static void memory_read(struct mapping_store *base, struct str uid, const struct message_id *after,
                        size_t n_max, inbox_read_fn *answered, void *ctx)
{
    struct memory_store *store = as_memory(base);
    struct read *read = mem_alloc(sizeof *read);
    memcpy(read->uid, uid.ptr, uid.len);
    read->uid_len = uid.len;
    read->has_after = after != NULL;
    read->after = after != NULL ? *after : MESSAGE_ID_NONE;
    read->n_max = n_max;
    read->answered = answered;
    read->ctx = ctx;
    if (store->first_read == NULL) {
        store->first_read = read;
    } else {
        store->last_read->next = read;
    }
    store->last_read = read;
    loop_timer_start(store->read_timer, 0, 0);
}

static void memory_confirm(struct mapping_store *base, struct str uid, struct message_id id)
{
    memory_inbox_confirm(as_memory(base)->inbox, uid, id);
}

static const struct inbox_ops memory_inbox_ops = {
    .read = memory_read,
    .confirm = memory_confirm,
};

static void on_sweep_timer(void *ctx)
{
    struct memory_store *store = ctx;
    memory_inbox_sweep(store->inbox, now_ms(store));
}

static void open_inbox(struct memory_store *store, const struct inbox_limits *limits)
{
    store->base.inbox = &memory_inbox_ops;
    store->inbox = memory_inbox_create(limits);
    store->read_timer = loop_timer_create(store->loop, on_read_timer, store);
    store->sweep_timer = loop_timer_create(store->loop, on_sweep_timer, store);
    loop_timer_start(store->sweep_timer, SWEEP_INTERVAL_MS, SWEEP_INTERVAL_MS);
}

/* ---- the end ---- */

static void say_closed(void *ctx)
{
    struct memory_store *store = ctx;
    mapping_store_tells(&store->base);
    store->closed(store->closed_ctx);
}

static void memory_close(struct mapping_store *base, void (*closed)(void *ctx), void *ctx)
{
    struct memory_store *store = as_memory(base);
    store->err = ERR_UNAVAILABLE;
    store->closed = closed;
    store->closed_ctx = ctx;
    loop_timer_start(store->close_timer, 0, 0); /* not loop_later(): a timer can be destroyed */
}

static void memory_destroy(struct mapping_store *base)
{
    if (base == NULL) {
        return;
    }
    struct memory_store *store = as_memory(base);
    store->err = ERR_UNAVAILABLE;
    pending_destroy(store->pending);
    on_read_timer(store);
    memory_inbox_destroy(store->inbox);
    loop_timer_destroy(store->read_timer);
    loop_timer_destroy(store->sweep_timer);
    loop_timer_destroy(store->close_timer);
    devices_destroy(store->devices);
    free(store);
}

static const struct mapping_store_ops memory_ops = {
    .bind = memory_bind,
    .unbind = memory_unbind,
    .send = memory_send,
    .broadcast = memory_broadcast,
    .listen = memory_listen,
    .trouble = memory_trouble,
    .close = memory_close,
    .destroy = memory_destroy,
};

struct mapping_store *memory_store_create(struct loop *loop, const struct inbox_limits *history)
{
    struct memory_store *store = mem_alloc(sizeof *store);
    store->base.ops = &memory_ops;
    store->loop = loop;
    store->err = ERR_OK;
    store->devices = devices_create();
    store->pending = pending_create(loop, &store->base, store->devices);
    store->close_timer = loop_timer_create(loop, say_closed, store);
    if (history != NULL) {
        open_inbox(store, history);
    }
    return &store->base;
}
