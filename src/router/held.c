#include "router/held.h"

#include <string.h>

#include "chat/mem.h"

void known_raise(struct known *known, struct message_id id, bool is_from_node)
{
    /* What is sent here from now on is newer than all that is known, whichever way it came. */
    for (int way = 0; way <= (is_from_node ? WAY_NODES : WAY_HERE); way++) {
        if (message_id_compare(known->ids[way], id) < 0) {
            known->ids[way] = id;
        }
    }
}

size_t held_size_of(const struct delivery *broadcast)
{
    return broadcast->from.len + broadcast->body.len;
}

void held_add(struct held *held, const struct delivery *broadcast, const struct known *known)
{
    enum way way = broadcast->is_from_node ? WAY_NODES : WAY_HERE;
    size_t size = held_size_of(broadcast);
    struct held_broadcast *added = mem_alloc(sizeof *added + size);
    memcpy(added->text, broadcast->from.ptr, broadcast->from.len);
    memcpy(added->text + broadcast->from.len, broadcast->body.ptr, broadcast->body.len);
    added->behind = known->ids[way];
    added->delivery = *broadcast;
    added->delivery.from.ptr = added->text;
    added->delivery.body.ptr = added->text + broadcast->from.len;
    if (held->ways[way].last == NULL) {
        held->ways[way].first = added;
    } else {
        held->ways[way].last->next = added;
    }
    held->ways[way].last = added;
    held->size += size;
}

static struct held_broadcast *take_first(struct held *held, int way)
{
    struct held_broadcast *first = held->ways[way].first;
    held->ways[way].first = first->next;
    if (first->next == NULL) {
        held->ways[way].last = NULL;
    }
    held->size -= held_size_of(&first->delivery);
    return first;
}

struct held_broadcast *held_take_before(struct held *held, struct message_id id)
{
    for (int way = 0; way < N_WAYS; way++) {
        const struct held_broadcast *first = held->ways[way].first;
        if (first != NULL && message_id_compare(first->behind, id) < 0) {
            return take_first(held, way);
        }
    }
    return NULL;
}

struct held_broadcast *held_take(struct held *held)
{
    for (int way = 0; way < N_WAYS; way++) {
        if (held->ways[way].first != NULL) {
            return take_first(held, way);
        }
    }
    return NULL;
}

bool held_has_own(const struct held *held)
{
    return held->ways[WAY_HERE].first != NULL;
}
