#include "mapping_store/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/id_table.h"
#include "chat/mem.h"

struct pending {
    struct loop *loop;
    struct devices *devices;
    struct op *first;
    struct op *last;
    struct id_table *binds; /* device to its unanswered bind */
    bool scheduled;         /* answer_done() waits in the loop for its turn */
    bool destroyed;         /* and then only has to free this */
};

struct pending *pending_create(struct loop *loop, struct devices *devices)
{
    struct pending *pending = mem_alloc(sizeof *pending);
    pending->loop = loop;
    pending->devices = devices;
    pending->binds = id_table_create();
    return pending;
}

struct str op_uid(const struct op *op)
{
    return (struct str){op->uid, op->uid_len};
}

static struct op *append(struct pending *pending, struct str uid, void *ctx)
{
    assert(uid.len > 0 && uid.len <= UID_SIZE_MAX);
    struct op *op = mem_alloc(sizeof *op);
    op->ctx = ctx;
    op->uid_len = uid.len;
    memcpy(op->uid, uid.ptr, uid.len);
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
    struct op *op = append(pending, uid, ctx);
    op->device = device;
    op->bound = bound;
    id_table_put(pending->binds, device, op);
    return op;
}

struct op *pending_find(struct pending *pending, struct str uid, mapping_found_fn *found, void *ctx)
{
    struct op *op = append(pending, uid, ctx);
    op->found = found;
    return op;
}

struct str pending_uid(const struct pending *pending, conn_id device)
{
    const struct op *op = id_table_get(pending->binds, device);
    return op != NULL ? op_uid(op) : (struct str){NULL, 0};
}

static void answer_find(struct pending *pending, const struct op *op)
{
    const conn_id *found = NULL;
    size_t n = op->err == ERR_OK ? devices_find(pending->devices, op_uid(op), &found) : 0;
    op->found(op->ctx, op->err, found, n);
}

static void answer_bind(struct pending *pending, const struct op *op)
{
    id_table_take(pending->binds, op->device);
    if (op->err == ERR_OK) {
        devices_bind(pending->devices, op->device, op_uid(op));
    }
    op->bound(op->ctx, op->device, op->err);
}

static void answer_first(struct pending *pending)
{
    struct op *op = pending->first;
    pending->first = op->next;
    if (op->device == CONN_NONE) {
        answer_find(pending, op);
    } else {
        answer_bind(pending, op);
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
