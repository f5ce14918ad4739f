/* Lists of connections by id. */
#include "chat/mem.h"
#include "transport/state.h"

void conn_list_add(struct conn_list *list, conn_id id)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->ids = mem_realloc(list->ids, list->capacity * sizeof(conn_id));
    }
    list->ids[list->n++] = id;
}
