#include <stdlib.h>

#include "chat/mem.h"
#include "chat/memory_store.h"
#include "mapping_store/devices.h"
#include "mapping_store/pending.h"

struct memory_store {
    struct mapping_store base; /* first, so that a struct mapping_store * is one of us */
    struct devices *devices;
    struct pending *pending;
    struct loop_timer *close_timer;
    enum err err; /* what everything is answered */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static struct memory_store *as_memory(struct mapping_store *base)
{
    return (struct memory_store *)base;
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
    pending_done(store->pending, op, store->err);
}

static void memory_broadcast(struct mapping_store *base, const struct message *message,
                             mapping_broadcast_fn *done, void *ctx)
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

static void say_closed(void *ctx)
{
    struct memory_store *store = ctx;
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

struct mapping_store *memory_store_create(struct loop *loop)
{
    struct memory_store *store = mem_alloc(sizeof *store);
    store->base.ops = &memory_ops;
    store->err = ERR_OK;
    store->devices = devices_create();
    store->pending = pending_create(loop, store->devices);
    store->close_timer = loop_timer_create(loop, say_closed, store);
    return &store->base;
}
