/* fake_sink.h - a sink that writes down what it is asked to do:
 *
 *   1: sended cid="a"            a reply to connection 1, with its cid
 *   1: signed token=0…1
 *   1: sended id=17-0 dup, 1: signed token=0…1 gap
 *   2 3: from alice: "hi"        one call that delivers to connections 2 and 3
 *   2: from alice: "hi" id=17-0
 *   1 2: broadcast from alice: "hi"
 *   1: close 1008
 *   1: ping 17-0
 *   1: stop, 1: go on            receive_more() */
#ifndef CHAT_TEST_FAKE_SINK_H
#define CHAT_TEST_FAKE_SINK_H

#include "chat/sink.h"
#include "fakes/transcript.h"

struct fake_sink {
    struct sink base; /* first, so that a struct sink * is one of us */
    struct transcript said;
    conn_id slow_conn; /* takes so many more messages, then none until that is changed */
    int slow_room;
    bool is_brief; /* bodies are written down as … */
};

void fake_sink_init(struct fake_sink *sink);
void fake_sink_fini(struct fake_sink *sink);

#endif
