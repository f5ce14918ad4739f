#include "mapping_store/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/id_table.h"
#include "chat/mem.h"

struct pending {
    struct loop *loop;
    const struct mapping_store *store;
    struct devices *devices;
    struct op *first;
    struct op *last;
    struct id_table *binds; /* device to its unanswered bind */
    bool scheduled;         /* answer_done() waits in the loop for its turn */
    bool destroyed;         /* and then only has to free this */
};

struct pending *pending_create(struct loop *loop, const struct mapping_store *store,
                               struct devices *devices)
{
    struct pending *pending = mem_alloc(sizeof *pending);
    pending->loop = loop;
    pending->store = store;
    pending->devices = devices;
    pending->binds = id_table_create();
    return pending;
}

struct str op_uid(const struct op *op)
{
    return op->kind == OP_BIND ? (struct str){op->uid, op->uid_len} : op->message.to;
}

static struct op *append(struct pending *pending, enum op_kind kind, void *ctx)
{
    struct op *op = mem_alloc(sizeof *op);
    op->kind = kind;
    op->ctx = ctx;
    if (pending->first == NULL) {
        pending->first = op;
    } else {
        pending->last->next = op;
    }
    pending->last = op;
    return op;
}

struct op *pending_bind(struct pending *pending, conn_id device, struct str uid,
                        mapping_bound_fn *bound, void *ctx)
{
    assert(device != CONN_NONE && id_table_get(pending->binds, device) == NULL);
    assert(uid.len > 0 && uid.len <= UID_SIZE_MAX);
    struct op *op = append(pending, OP_BIND, ctx);
    op->device = device;
    op->answered.bound = bound;
    op->uid_len = uid.len;
    memcpy(op->uid, uid.ptr, uid.len);
    id_table_put(pending->binds, device, op);
    return op;
}

struct op *pending_send(struct pending *pending, const struct message *message,
                        mapping_sent_fn *sent, void *ctx)
{
    assert(message->to.len > 0 && message->to.len <= UID_SIZE_MAX);
    struct op *op = append(pending, OP_SEND, ctx);
    op->message = *message;
    op->answered.sent = sent;
    return op;
}

struct op *pending_broadcast(struct pending *pending, const struct message *message,
                             mapping_done_fn *done, void *ctx)
{
    struct op *op = append(pending, OP_BROADCAST, ctx);
    op->message = *message;
    op->answered.broadcast = done;
    return op;
}

struct str pending_uid(const struct pending *pending, conn_id device)
{
    const struct op *op = id_table_get(pending->binds, device);
    return op != NULL ? op_uid(op) : (struct str){NULL, 0};
}

static void answer_send(struct pending *pending, const struct op *op)
{
    struct sent sent = {
        .err = op->err, .id = op->id, .previous = op->previous, .is_dup = op->is_dup};
    if (op->err == ERR_OK) {
        sent.n = devices_find(pending->devices, op->message.to, &sent.devices);
    }
    op->answered.sent(op->ctx, &sent);
}

static void answer_bind(struct pending *pending, const struct op *op)
{
    id_table_take(pending->binds, op->device);
    if (op->err == ERR_OK) {
        devices_bind(pending->devices, op->device, op_uid(op), op->behind);
    }
    op->answered.bound(op->ctx, op->device, op->err);
}

static void answer_first(struct pending *pending)
{
    struct op *op = pending->first;
    pending->first = op->next;
    mapping_store_tells(pending->store);
    switch (op->kind) {
    case OP_BIND:
        answer_bind(pending, op);
        break;
    case OP_SEND:
        answer_send(pending, op);
        break;
    case OP_BROADCAST:
        op->answered.broadcast(op->ctx, op->err);
        break;
    }
    free(op);
}

static void answer_done(void *ctx)
{
    struct pending *pending = ctx;
    /* A callback may destroy the store: then the list is empty, and the flag says so. */
    while (pending->first != NULL && pending->first->done) {
        answer_first(pending);
    }
    pending->scheduled = false;
    if (pending->destroyed) {
        free(pending);
    }
}

void pending_done(struct pending *pending, struct op *op, enum err err)
{
    assert(!op->done);
    op->done = true;
    op->err = err;
    if (op == pending->first && !pending->scheduled) {
        pending->scheduled = true;
        loop_later(pending->loop, answer_done, pending);
    }
}

void pending_each(struct pending *pending, void (*each)(void *ctx, struct op *op), void *ctx)
{
    for (struct op *op = pending->first; op != NULL; op = op->next) {
        each(ctx, op);
    }
}

void pending_destroy(struct pending *pending)
{
    if (pending == NULL) {
        return;
    }
    while (pending->first != NULL) {
        pending->first->err = ERR_UNAVAILABLE;
        answer_first(pending);
    }
    id_table_destroy(pending->binds);
    pending->destroyed = true;
    if (!pending->scheduled) {
        free(pending);
    }
}
