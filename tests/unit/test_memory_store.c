/* The memory store: the contract, on a loop whose clock is moved by hand. */
#include "chat/memory_store.h"

#include <stddef.h>

#include "fakes/fake_loop.h"
#include "store_contract.h"

static void run_until(struct loop *loop, const int *n, int wanted)
{
    (void)n;
    (void)wanted;
    fake_loop_turn(loop); /* one turn has to be enough */
}

static struct mapping_store *make_store(struct loop *loop)
{
    return memory_store_create(loop, NULL);
}

int main(void)
{
    const struct store_maker maker = {
        .name = "memory_store",
        .make_loop = loop_create,
        .make_store = make_store,
        .run_until = run_until,
    };
    return run_store_contract(&maker);
}
